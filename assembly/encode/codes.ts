// Sums over weights rounded to the nearest codes, two weights at a time: see scale-fit.ts and affine-fit.ts in
// src/quant/encode.

export function inverseOf(scale: f64): f64 {
  const inverse = 1 / scale;
  return isFinite(inverse) ? inverse : 0;
}

// @ts-ignore: decorator
@inline
export function nearestCode(value: f64, inverse: f64, lowest: f64, highest: f64): f64 {
  return min(max(floor(value * inverse + 0.5), lowest), highest);
}

// @ts-ignore: decorator
@inline
function nearestCodes(values: v128, inverses: v128, lowest: v128, highest: v128): v128 {
  const codes = f64x2.floor(f64x2.add(f64x2.mul(values, inverses), f64x2.splat(0.5)));
  return f64x2.pmin(f64x2.pmax(codes, lowest), highest);
}

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

/** P and Q of the last `measureScale`. */
export let momentP: f64 = 0;
export let momentQ: f64 = 0;

export function measureScale(values: usize, weights: usize, count: i32, scale: f64, low: f64, high: f64): void {
  const inverses = f64x2.splat(inverseOf(scale));
  const lowest = f64x2.splat(low);
  const highest = f64x2.splat(high);
  let p = f64x2.splat(0);
  let q = f64x2.splat(0);
  const end = <usize>count << 3;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(values + at);
    const codes = nearestCodes(x, inverses, lowest, highest);
    const weighted = f64x2.mul(v128.load(weights + at), codes);
    p = f64x2.add(p, f64x2.mul(weighted, x));
    q = f64x2.add(q, f64x2.mul(weighted, codes));
  }
  momentP = sumLanes(p);
  momentQ = sumLanes(q);
}

/** Sums for codes of scale · code − offset: Σw, Σwx, Σwx², which `sumWeights` sets, and Σwq, Σwqq, Σwxq. */
@unmanaged
export class AffineSums {
  w: f64;
  x: f64;
  xx: f64;
  q: f64;
  qq: f64;
  xq: f64;
}

export function sumWeights(values: usize, weights: usize, count: i32, sums: AffineSums): void {
  let w: f64 = 0;
  let x: f64 = 0;
  let xx: f64 = 0;
  const end = <usize>count << 3;
  for (let at: usize = 0; at < end; at += 8) {
    const value = load<f64>(values + at);
    const weight = load<f64>(weights + at);
    const weighted = weight * value;
    w += weight;
    x += weighted;
    xx += weighted * value;
  }
  sums.w = w;
  sums.x = x;
  sums.xx = xx;
}

export function sumCodes(
  values: usize, weights: usize, count: i32, scale: f64, offset: f64, last: f64, sums: AffineSums,
): void {
  const inverses = f64x2.splat(inverseOf(scale));
  const offsets = f64x2.splat(offset);
  const lowest = f64x2.splat(0);
  const highest = f64x2.splat(last);
  let q = f64x2.splat(0);
  let qq = f64x2.splat(0);
  let xq = f64x2.splat(0);
  const end = <usize>count << 3;
  for (let at: usize = 0; at < end; at += 16) {
    const x = v128.load(values + at);
    const codes = nearestCodes(f64x2.add(x, offsets), inverses, lowest, highest);
    const weighted = f64x2.mul(v128.load(weights + at), codes);
    q = f64x2.add(q, weighted);
    qq = f64x2.add(qq, f64x2.mul(weighted, codes));
    xq = f64x2.add(xq, f64x2.mul(weighted, x));
  }
  sums.q = sumLanes(q);
  sums.qq = sumLanes(qq);
  sums.xq = sumLanes(xq);
}

export function affineError(sums: AffineSums, scale: f64, offset: f64): f64 {
  return (
    sums.xx +
    scale * (scale * sums.qq - 2 * (sums.xq + offset * sums.q)) +
    offset * (offset * sums.w + 2 * sums.x)
  );
}
