// Right-hand operands of the products in panels of eight columns: f32[panels][depth][8], columns past the end 0.

export const PANEL: i32 = 8;

/** A panel whose column j is row j of b: `count` rows of `depth` floats. */
function transposePanel(b: usize, stride: usize, depth: i32, count: i32, target: usize): void {
  if (count < PANEL) {
    for (let k: usize = 0; k < <usize>depth; k++) {
      for (let j: usize = 0; j < <usize>PANEL; j++) {
        store<f32>(target + (k << 5) + (j << 2), j < <usize>count ? load<f32>(b + j * stride + (k << 2)) : 0);
      }
    }
    return;
  }
  for (let half: i32 = 0; half < 2; half++) {
    let r0 = b + <usize>(half * 4) * stride;
    let r1 = r0 + stride;
    let r2 = r1 + stride;
    let r3 = r2 + stride;
    let to = target + <usize>(half * 16);
    let left = depth;
    for (; left >= 4; left -= 4) {
      const v0 = v128.load(r0);
      const v1 = v128.load(r1);
      const v2 = v128.load(r2);
      const v3 = v128.load(r3);
      const low01 = v128.shuffle<i32>(v0, v1, 0, 4, 1, 5);
      const low23 = v128.shuffle<i32>(v2, v3, 0, 4, 1, 5);
      const high01 = v128.shuffle<i32>(v0, v1, 2, 6, 3, 7);
      const high23 = v128.shuffle<i32>(v2, v3, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<i64>(low01, low23, 0, 2));
      v128.store(to, v128.shuffle<i64>(low01, low23, 1, 3), 32);
      v128.store(to, v128.shuffle<i64>(high01, high23, 0, 2), 64);
      v128.store(to, v128.shuffle<i64>(high01, high23, 1, 3), 96);
      r0 += 16;
      r1 += 16;
      r2 += 16;
      r3 += 16;
      to += 128;
    }
    for (; left > 0; left--) {
      store<f32>(to, load<f32>(r0));
      store<f32>(to, load<f32>(r1), 4);
      store<f32>(to, load<f32>(r2), 8);
      store<f32>(to, load<f32>(r3), 12);
      r0 += 4;
      r1 += 4;
      r2 += 4;
      r3 += 4;
      to += 32;
    }
  }
}

/** Panels whose columns are the `width` rows of b, `stride` bytes apart, of `depth` floats. */
export function transposePanels(b: usize, stride: usize, depth: i32, width: i32, target: usize): void {
  for (; width > 0; width -= PANEL) {
    transposePanel(b, stride, depth, min(width, PANEL), target);
    b += <usize>PANEL * stride;
    target += <usize>depth << 5;
  }
}

/** One panel of the `width` ⩽ 8 columns of b. */
function copyPanel(b: usize, stride: usize, depth: i32, width: i32, target: usize): void {
  for (; depth > 0; depth--) {
    if (width == PANEL) {
      v128.store(target, v128.load(b));
      v128.store(target, v128.load(b, 16), 16);
    } else {
      for (let j: usize = 0; j < <usize>PANEL; j++) {
        store<f32>(target + (j << 2), j < <usize>width ? load<f32>(b + (j << 2)) : 0);
      }
    }
    b += stride;
    target += 32;
  }
}

/** Panels of the `width` columns of b: `depth` rows, `stride` bytes apart. */
export function copyPanels(b: usize, stride: usize, depth: i32, width: i32, target: usize): void {
  const panelBytes = <usize>depth << 5;
  // Two at a time: rows are often apart by what caches take for the same place, so a line is best read once.
  for (; width >= 2 * PANEL; width -= 2 * PANEL) {
    let from = b;
    let second = target + panelBytes;
    for (let k = depth; k > 0; k--) {
      v128.store(target, v128.load(from));
      v128.store(target, v128.load(from, 16), 16);
      v128.store(second, v128.load(from, 32));
      v128.store(second, v128.load(from, 48), 16);
      from += stride;
      target += 32;
      second += 32;
    }
    b += 64;
    target += panelBytes;
  }
  for (; width > 0; width -= PANEL) {
    copyPanel(b, stride, depth, min(width, PANEL), target);
    b += 32;
    target += panelBytes;
  }
}

/** Four columns, of which `count` are a's and the others 0. */
function copyColumns(a: usize, stride: usize, depth: i32, count: i32, target: usize): void {
  for (; depth > 0; depth--) {
    if (count == 4) v128.store(target, v128.load(a));
    else {
      for (let i: usize = 0; i < 4; i++) store<f32>(target + (i << 2), i < <usize>count ? load<f32>(a + (i << 2)) : 0);
    }
    a += stride;
    target += 16;
  }
}

/** The `count` ⩽ 16 columns of a, `depth` rows `stride` bytes apart, as f32[⌈count / 4⌉][depth][4], filled up with 0. */
export function copySixteenColumns(a: usize, stride: usize, depth: i32, count: i32, target: usize): void {
  const groupBytes = <usize>depth << 4;
  if (count < 16) {
    for (; count > 0; count -= 4) {
      copyColumns(a, stride, depth, min(count, 4), target);
      a += 16;
      target += groupBytes;
    }
    return;
  }
  let target1 = target + groupBytes;
  let target2 = target1 + groupBytes;
  let target3 = target2 + groupBytes;
  for (; depth > 0; depth--) {
    v128.store(target, v128.load(a));
    v128.store(target1, v128.load(a, 16));
    v128.store(target2, v128.load(a, 32));
    v128.store(target3, v128.load(a, 48));
    a += stride;
    target += 16;
    target1 += 16;
    target2 += 16;
    target3 += 16;
  }
}
