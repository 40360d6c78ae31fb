// AdamW (Loshchilov & Hutter 2019) as torch computes it: decay first, then the step. Multiplications and additions
// are never fused, so that scalar tails, and both builds, compute what the vectors do.

/**
 * m = β₁ m + (1 − β₁) g, v = β₂ v + (1 − β₂) g², value = value (1 − lr × decay) − lr m' / (√v' + ε), with
 * g = gradient × gradientScale, m' = m / correction1 and v' = v / correction2. Any n.
 */
export function adamw(
  value: usize, gradient: usize, m: usize, v: usize, n: i32, learningRate: f64, beta1: f64, beta2: f64,
  epsilon: f64, decay: f64, correction1: f64, correction2: f64, gradientScale: f64,
): void {
  const keep = <f32>(1 - learningRate * decay);
  const step = <f32>(learningRate / correction1);
  const rootScale = <f32>(1 / Math.sqrt(correction2));
  const eps = <f32>epsilon;
  const scale = <f32>gradientScale;
  const b1 = <f32>beta1;
  const b2 = <f32>beta2;
  const rest1 = <f32>(1 - beta1);
  const rest2 = <f32>(1 - beta2);

  const keeps = f32x4.splat(keep);
  const steps = f32x4.splat(step);
  const rootScales = f32x4.splat(rootScale);
  const epsilons = f32x4.splat(eps);
  const scales = f32x4.splat(scale);
  const b1s = f32x4.splat(b1);
  const b2s = f32x4.splat(b2);
  const rest1s = f32x4.splat(rest1);
  const rest2s = f32x4.splat(rest2);
  let i: usize = 0;
  for (; n >= 4; n -= 4) {
    const g = f32x4.mul(v128.load(gradient + i), scales);
    const first = f32x4.add(f32x4.mul(b1s, v128.load(m + i)), f32x4.mul(rest1s, g));
    const second = f32x4.add(f32x4.mul(b2s, v128.load(v + i)), f32x4.mul(rest2s, f32x4.mul(g, g)));
    v128.store(m + i, first);
    v128.store(v + i, second);
    const root = f32x4.add(f32x4.mul(f32x4.sqrt(second), rootScales), epsilons);
    const kept = f32x4.mul(v128.load(value + i), keeps);
    v128.store(value + i, f32x4.sub(kept, f32x4.div(f32x4.mul(steps, first), root)));
    i += 16;
  }
  for (; n > 0; n--) {
    const g = load<f32>(gradient + i) * scale;
    const first = b1 * load<f32>(m + i) + rest1 * g;
    const second = b2 * load<f32>(v + i) + rest2 * (g * g);
    store<f32>(m + i, first);
    store<f32>(v + i, second);
    const root = sqrt<f32>(second) * rootScale + eps;
    store<f32>(value + i, load<f32>(value + i) * keep - (step * first) / root);
    i += 4;
  }
}

/** Σ x² in double precision: the sum of eight running sums, of elements i, i + 8, …; any n. */
export function sumOfSquares(x: usize, n: i32): f64 {
  let a = f64x2.splat(0);
  let b = a, c = a, d = a;
  for (; n >= 8; n -= 8) {
    const v = v128.load(x);
    const w = v128.load(x, 16);
    const v0 = f64x2.promote_low_f32x4(v);
    const v1 = f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 0, 1));
    const w0 = f64x2.promote_low_f32x4(w);
    const w1 = f64x2.promote_low_f32x4(v128.shuffle<i32>(w, w, 2, 3, 0, 1));
    a = f64x2.add(a, f64x2.mul(v0, v0));
    b = f64x2.add(b, f64x2.mul(v1, v1));
    c = f64x2.add(c, f64x2.mul(w0, w0));
    d = f64x2.add(d, f64x2.mul(w1, w1));
    x += 32;
  }
  const four = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
  let sum = f64x2.extract_lane(four, 0) + f64x2.extract_lane(four, 1);
  for (; n > 0; n--) {
    const value = <f64>load<f32>(x);
    sum += value * value;
    x += 4;
  }
  return sum;
}
