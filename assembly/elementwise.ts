import { exp4, sumLanes } from './math';

/** Sum of squares of n floats (n a multiple of 4). */
function sumSquares(x: usize, n: i32): f32 {
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  const end = x + (<usize>n << 2);
  for (; x + 32 <= end; x += 32) {
    const v = v128.load(x);
    const w = v128.load(x, 16);
    a = f32x4.add(a, f32x4.mul(v, v));
    b = f32x4.add(b, f32x4.mul(w, w));
  }
  if (x < end) {
    const v = v128.load(x);
    a = f32x4.add(a, f32x4.mul(v, v));
  }
  return sumLanes(f32x4.add(a, b));
}

/** y = x / rms(x) × weight; weight 0 (null) leaves the factor out. n a multiple of 4. */
export function rmsNorm(x: usize, weight: usize, y: usize, n: i32, eps: f32): void {
  const factor: f32 = 1 / sqrt<f32>(sumSquares(x, n) / <f32>n + eps);
  const f = f32x4.splat(factor);
  const bytes = <usize>n << 2;
  if (weight) {
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(y + i, f32x4.mul(f32x4.mul(v128.load(x + i), f), v128.load(weight + i)));
    }
  } else {
    for (let i: usize = 0; i < bytes; i += 16) v128.store(y + i, f32x4.mul(v128.load(x + i), f));
  }
}

/** Rotates adjacent pairs of `heads` vectors of `dim` floats in place. angles: interleaved (cos, sin), f32[dim]. */
export function ropeInterleaved(x: usize, angles: usize, heads: i32, dim: i32): void {
  const bytes = <usize>dim << 2;
  const signs = f32x4(-1, 1, -1, 1);
  for (let h: i32 = 0; h < heads; h++) {
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(x + i);
      const a = v128.load(angles + i);
      const cos = v128.shuffle<i32>(a, a, 0, 0, 2, 2);
      const sin = v128.shuffle<i32>(a, a, 1, 1, 3, 3);
      const swapped = v128.shuffle<i32>(v, v, 1, 0, 3, 2);
      v128.store(x + i, f32x4.add(f32x4.mul(v, cos), f32x4.mul(f32x4.mul(swapped, sin), signs)));
    }
    x += bytes;
  }
}

/** x *= factor, n a multiple of 4. */
export function scale(x: usize, factor: f32, n: i32): void {
  const f = f32x4.splat(factor);
  for (const end = x + (<usize>n << 2); x < end; x += 16) v128.store(x, f32x4.mul(v128.load(x), f));
}

/** y = x × factor, n a multiple of 4. */
export function scaleInto(x: usize, y: usize, factor: f32, n: i32): void {
  const f = f32x4.splat(factor);
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(y + i, f32x4.mul(v128.load(x + i), f));
}

/** y += x, n a multiple of 4. */
export function add(x: usize, y: usize, n: i32): void {
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(y + i, f32x4.add(v128.load(y + i), v128.load(x + i)));
}

/** gate = silu(gate) × up, n a multiple of 4. */
export function siluMultiply(gate: usize, up: usize, n: i32): void {
  const one = f32x4.splat(1);
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    const g = v128.load(gate + i);
    const silu = f32x4.div(g, f32x4.add(one, exp4(f32x4.neg(g))));
    v128.store(gate + i, f32x4.mul(silu, v128.load(up + i)));
  }
}
