// What vision towers have and Llama's text part has not: norms that subtract the mean, the Gaussian error function.
import { exp4, sumLanes } from './math';

/** y = (x − mean) / deviation × weight + bias over n floats, n a multiple of 4; y may be x. */
export function layerNorm(x: usize, weight: usize, bias: usize, y: usize, n: i32, eps: f32): void {
  const bytes = <usize>n << 2;
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) sum = f32x4.add(sum, v128.load(x + i));
  const mean = f32x4.splat(sumLanes(sum) / <f32>n);
  let squares = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const centred = f32x4.sub(v128.load(x + i), mean);
    squares = f32x4.add(squares, f32x4.mul(centred, centred));
  }
  const factor = f32x4.splat(1 / sqrt<f32>(sumLanes(squares) / <f32>n + eps));
  for (let i: usize = 0; i < bytes; i += 16) {
    const scaled = f32x4.mul(f32x4.sub(v128.load(x + i), mean), factor);
    v128.store(y + i, f32x4.add(f32x4.mul(scaled, v128.load(weight + i)), v128.load(bias + i)));
  }
}

/**
 * x = x × Φ(x) in place, Φ the normal distribution's; n a multiple of 4. Half of erfc(z) e^(z²), for z = |x| / √2, is
 * a polynomial in t = 1 / (1 + 0.45 z), the form of Abramowitz and Stegun's 7.1.26. Its coefficients were fitted to
 * the least largest error of erfc(z), 1e-9, far below f32's own rounding.
 */
export function gelu(x: usize, n: i32): void {
  const one = f32x4.splat(1);
  const half = f32x4.splat(0.5);
  for (const end = x + (<usize>n << 2); x < end; x += 16) {
    const v = v128.load(x);
    const z = f32x4.mul(f32x4.abs(v), f32x4.splat(0.70710678118654752));
    const t = f32x4.div(one, f32x4.add(one, f32x4.mul(z, f32x4.splat(0.45))));
    let p = f32x4.splat(9.2569906571e-2);
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-4.9410559639e-1));
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(8.5717029527e-1));
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(-3.7580542828e-1));
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(4.6017216552e-1));
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(2.0100890964e-1));
    p = f32x4.add(f32x4.mul(p, t), f32x4.splat(2.5898974873e-1));
    const tail = f32x4.mul(f32x4.mul(f32x4.mul(p, t), half), exp4(f32x4.neg(f32x4.mul(z, z))));
    const below = f32x4.mul(v, tail);
    v128.store(x, v128.bitselect(below, f32x4.sub(v, below), f32x4.lt(v, f32x4.splat(0))));
  }
}

/** Copies `rows` rows of `bytes` bytes that lie `sourceStride` apart to places `targetStride` apart. */
export function copyRows(
  source: usize, sourceStride: usize, target: usize, targetStride: usize, rows: i32, bytes: usize,
): void {
  for (let row: i32 = 0; row < rows; row++) {
    memory.copy(target, source, bytes);
    source += sourceStride;
    target += targetStride;
  }
}
