import { madd, sumLanes } from './math';
import { unpackFloat } from './unpack/index';

// Products of F32, F16 and BF16 rows with float activations.
//
// Scratch of one call, for K columns: f32[8][K] rows as floats, f32[K][8] the panel, f32[4][8] sums.

const ROWS: i32 = 8;
const ROW_BYTES: usize = 32;
const TYPE_F32: i32 = 0;

function dotFloats(w: usize, x: usize, columns: i32): f32 {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  const end = w + (<usize>columns << 2);
  for (; w + 64 <= end; w += 64) {
    a = madd(v128.load(w), v128.load(x), a);
    b = madd(v128.load(w, 16), v128.load(x, 16), b);
    c = madd(v128.load(w, 32), v128.load(x, 32), c);
    d = madd(v128.load(w, 48), v128.load(x, 48), d);
    x += 64;
  }
  for (; w < end; w += 16) {
    a = madd(v128.load(w), v128.load(x), a);
    x += 16;
  }
  return sumLanes(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

/** f32[4][columns] at `source` to columns of four in a panel with eight floats a column. */
function interleave4(source: usize, panel: usize, columns: i32): void {
  const stride = <usize>columns << 2;
  for (let i: usize = 0; i < stride; i += 16) {
    const a = v128.load(source + i);
    const b = v128.load(source + stride + i);
    const c = v128.load(source + 2 * stride + i);
    const d = v128.load(source + 3 * stride + i);
    const lowAB = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
    const highAB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const lowCD = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
    const highCD = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    const out = panel + 8 * i;
    v128.store(out, v128.shuffle<i64>(lowAB, lowCD, 0, 2));
    v128.store(out, v128.shuffle<i64>(lowAB, lowCD, 1, 3), 32);
    v128.store(out, v128.shuffle<i64>(highAB, highCD, 0, 2), 64);
    v128.store(out, v128.shuffle<i64>(highAB, highCD, 1, 3), 96);
  }
}

@inline
function storeSums(y: usize, low: v128, high: v128, accumulate: bool): void {
  if (accumulate) {
    low = f32x4.add(v128.load(y), low);
    high = f32x4.add(v128.load(y, 16), high);
  }
  v128.store(y, low);
  v128.store(y, high, 16);
}

/** A panel of eight rows times four tokens. */
function panelTimes4(
  panel: usize, columns: i32, x: usize, xStride: usize, y: usize, yStride: usize, accumulate: bool,
): void {
  let a0 = f32x4.splat(0);
  let a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  const x1 = xStride;
  const x2 = xStride << 1;
  const x3 = xStride * 3;
  for (const end = x + (<usize>columns << 2); x < end; x += 4) {
    const w0 = v128.load(panel);
    const w1 = v128.load(panel, 16);
    const xa = v128.load_splat<f32>(x);
    a0 = madd(w0, xa, a0);
    a1 = madd(w1, xa, a1);
    const xb = v128.load_splat<f32>(x + x1);
    b0 = madd(w0, xb, b0);
    b1 = madd(w1, xb, b1);
    const xc = v128.load_splat<f32>(x + x2);
    c0 = madd(w0, xc, c0);
    c1 = madd(w1, xc, c1);
    const xd = v128.load_splat<f32>(x + x3);
    d0 = madd(w0, xd, d0);
    d1 = madd(w1, xd, d1);
    panel += 32;
  }
  storeSums(y, a0, a1, accumulate);
  storeSums(y + yStride, b0, b1, accumulate);
  storeSums(y + 2 * yStride, c0, c1, accumulate);
  storeSums(y + 3 * yStride, d0, d1, accumulate);
}

/**
 * y[t][r] (+)= Σ_k w[r][k] x[t][k] for `rows` consecutive F32, F16 or BF16 rows (columns a multiple of 4).
 * @param x f32[tokens][columns]
 * @param y f32, `yStride` bytes between tokens
 * @param scratch 64 × columns + 128 bytes
 */
export function matmulFloat(
  type: i32, w: usize, rowBytes: usize, rows: i32, columns: i32,
  x: usize, tokens: i32, y: usize, yStride: usize, accumulate: bool, scratch: usize,
): void {
  const xStride = <usize>columns << 2;
  const panel = scratch + 8 * xStride;
  const tile = scratch + 16 * xStride;
  let row: i32 = 0;
  // Below four tokens, laying the rows out for the panel kernel costs more than it saves.
  if (tokens >= 4) {
    for (; row + ROWS <= rows; row += ROWS) {
      for (let r: usize = 0; r < <usize>ROWS; r++) {
        unpackFloat(type, w, scratch + r * xStride, columns);
        w += rowBytes;
      }
      interleave4(scratch, panel, columns);
      interleave4(scratch + 4 * xStride, panel + 16, columns);
      let t: i32 = 0;
      const out = y + (<usize>row << 2);
      for (; t + 4 <= tokens; t += 4) {
        panelTimes4(panel, columns, x + <usize>t * xStride, xStride, out + <usize>t * yStride, yStride, accumulate);
      }
      if (t < tokens) {
        // The last four once more, of which only those that are missing count.
        const from = tokens - 4;
        panelTimes4(panel, columns, x + <usize>from * xStride, xStride, tile, ROW_BYTES, false);
        for (; t < tokens; t++) {
          const sums = tile + <usize>(t - from) * ROW_BYTES;
          storeSums(out + <usize>t * yStride, v128.load(sums), v128.load(sums, 16), accumulate);
        }
      }
    }
  }
  for (; row < rows; row++) {
    let floats = w;
    if (type != TYPE_F32) {
      unpackFloat(type, w, scratch, columns);
      floats = scratch;
    }
    for (let t: i32 = 0; t < tokens; t++) {
      const value = dotFloats(floats, x + <usize>t * xStride, columns);
      const at = y + (<usize>row << 2) + <usize>t * yStride;
      store<f32>(at, accumulate ? load<f32>(at) + value : value);
    }
    w += rowBytes;
  }
}
