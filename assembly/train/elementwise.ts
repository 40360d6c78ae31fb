import { sumLanes } from '../math';
import { prepareExp, sigmoidOf4 } from './exp';

// Element-wise steps of the forward and backward passes, and norms' gradients. Where scalars finish what vectors began,
// multiplications and additions are not fused, so that both compute the same.

/** inner = silu(gate) × up, n a multiple of 4. */
export function siluMultiply(gate: usize, up: usize, inner: usize, n: i32): void {
  prepareExp();
  for (; n > 0; n -= 4) {
    const g = v128.load(gate);
    v128.store(inner, f32x4.mul(f32x4.mul(g, sigmoidOf4(g)), v128.load(up)));
    gate += 16;
    up += 16;
    inner += 16;
  }
}

/** With s = sigmoid(gate): dUp = dInner gate s, dGate = dInner up s (1 + gate (1 − s)). n a multiple of 4. */
export function siluMultiplyBackward(
  gate: usize, up: usize, dInner: usize, dGate: usize, dUp: usize, n: i32,
): void {
  prepareExp();
  const one = f32x4.splat(1);
  for (; n > 0; n -= 4) {
    const g = v128.load(gate);
    const u = v128.load(up);
    const d = v128.load(dInner);
    const s = sigmoidOf4(g);
    const ds = f32x4.mul(d, s);
    v128.store(dUp, f32x4.mul(ds, g));
    const slope = f32x4.add(one, f32x4.mul(g, f32x4.sub(one, s)));
    v128.store(dGate, f32x4.mul(f32x4.mul(ds, u), slope));
    gate += 16;
    up += 16;
    dInner += 16;
    dGate += 16;
    dUp += 16;
  }
}

/** 1 / rms of a vector; n a multiple of 4. */
function inverseRms(x: usize, n: i32, eps: f32): f32 {
  let a = f32x4.splat(0);
  let b = a;
  let left = n;
  for (; left >= 8; left -= 8) {
    const v = v128.load(x);
    const w = v128.load(x, 16);
    a = f32x4.add(a, f32x4.mul(v, v));
    b = f32x4.add(b, f32x4.mul(w, w));
    x += 32;
  }
  if (left > 0) {
    const v = v128.load(x);
    a = f32x4.add(a, f32x4.mul(v, v));
  }
  return 1 / sqrt<f32>(sumLanes(f32x4.add(a, b)) / <f32>n + eps);
}

/** dy, times the weight where there is one. */
@inline
function weighted(dy: usize, weight: usize, i: usize): v128 {
  const d = v128.load(dy + i);
  return weight ? f32x4.mul(d, v128.load(weight + i)) : d;
}

/**
 * dx (+)= f (g − x f² mean(g x)), where f = 1 / rms(x) and g = dy × weight (weight 0: g = dy). columns a multiple of 4;
 * dx may be dy.
 */
export function rmsNormBackward(
  x: usize, weight: usize, dy: usize, dx: usize, columns: i32, eps: f32, accumulate: bool,
): void {
  const factor = inverseRms(x, columns, eps);
  const bytes = <usize>columns << 2;
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    sum = f32x4.add(sum, f32x4.mul(weighted(dy, weight, i), v128.load(x + i)));
  }
  const f = f32x4.splat(factor);
  const pull = f32x4.splat(factor * factor * (sumLanes(sum) / <f32>columns));
  for (let i: usize = 0; i < bytes; i += 16) {
    const along = f32x4.mul(v128.load(x + i), pull);
    const d = f32x4.mul(f, f32x4.sub(weighted(dy, weight, i), along));
    v128.store(dx + i, accumulate ? f32x4.add(v128.load(dx + i), d) : d);
  }
}

/** dw[c] += Σ_t dy[t][c] x[t][c] / rms(x[t]) for firstColumn ⩽ c < endColumn; columns a multiple of 4. */
export function rmsNormWeightBackward(
  x: usize, dy: usize, dw: usize, tokens: i32, columns: i32, firstColumn: i32, endColumn: i32, eps: f32,
): void {
  const stride = <usize>columns << 2;
  const first = <usize>firstColumn << 2;
  const end = <usize>endColumn << 2;
  for (; tokens > 0; tokens--) {
    const factor = inverseRms(x, columns, eps);
    const f = f32x4.splat(factor);
    let i = first;
    for (; i + 16 <= end; i += 16) {
      const d = f32x4.mul(f32x4.mul(v128.load(dy + i), v128.load(x + i)), f);
      v128.store(dw + i, f32x4.add(v128.load(dw + i), d));
    }
    for (; i < end; i += 4) {
      store<f32>(dw + i, load<f32>(dw + i) + load<f32>(dy + i) * load<f32>(x + i) * factor);
    }
    x += stride;
    dy += stride;
  }
}

/**
 * The transpose of ropeInterleaved, in place: turns adjacent pairs of `heads` vectors of `dim` floats the other way.
 * angles: interleaved (cos, sin), f32[dim].
 */
export function ropeInterleavedBackward(dx: usize, angles: usize, heads: i32, dim: i32): void {
  const bytes = <usize>dim << 2;
  const signs = f32x4(1, -1, 1, -1);
  for (; heads > 0; heads--) {
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(dx + i);
      const a = v128.load(angles + i);
      const cos = v128.shuffle<i32>(a, a, 0, 0, 2, 2);
      const sin = v128.shuffle<i32>(a, a, 1, 1, 3, 3);
      const swapped = v128.shuffle<i32>(v, v, 1, 0, 3, 2);
      v128.store(dx + i, f32x4.add(f32x4.mul(v, cos), f32x4.mul(f32x4.mul(swapped, sin), signs)));
    }
    dx += bytes;
  }
}
