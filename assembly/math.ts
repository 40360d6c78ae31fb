// Vector arithmetic shared by the kernels. ASC_FEATURE_RELAXED_SIMD picks one of the two builds at compile time.

/** a × b + c; fused in the relaxed build. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c − a × b; fused in the relaxed build. */
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** 1.5 · 2^23: adding it to a small number rounds that to an integer, which is then the sum's lowest bits. */
export const ROUNDER: f32 = 12582912;

@inline
export function sumLanes(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** Sums of the lanes of each of four vectors, added as sumLanes does. */
@inline
export function sumLanesOf4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/**
 * e^x in four lanes, relative error below 3e-7. Below -87 the result is the smallest normal value's neighbourhood,
 * which every use here (softmax, sigmoid) treats as zero. Cephes' reduction: x = n ln 2 + r, |r| <= ln 2 / 2.
 */
@inline
export function exp4(x: v128): v128 {
  // pmax and pmin are one instruction each, max and min many; a NaN stays one either way.
  const clamped = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.0)), f32x4.splat(88.0));
  const t = f32x4.add(f32x4.mul(clamped, f32x4.splat(1.44269504088896341)), f32x4.splat(ROUNDER));
  const n = f32x4.sub(t, f32x4.splat(ROUNDER));
  let r = f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.mul(f32x4.mul(p, r), r), f32x4.add(r, f32x4.splat(1)));
  return i32x4.add(p, i32x4.shl(t, 23));
}

/** What expShifted reads: V8 would build constants anew in every round of its loop. */
export function storeExpConstants(target: usize): void {
  v128.store(target, f32x4.splat(-86.0));
  v128.store(target, f32x4.splat(1.44269504088896341), 16);
  v128.store(target, f32x4.splat(ROUNDER), 32);
  v128.store(target, f32x4.splat(0.693359375), 48);
  v128.store(target, f32x4.splat(-2.12194440e-4), 64);
  v128.store(target, f32x4.splat(1.9875691500e-4), 80);
  v128.store(target, f32x4.splat(1.3981999507e-3), 96);
  v128.store(target, f32x4.splat(8.3334519073e-3), 112);
  v128.store(target, f32x4.splat(4.1665795894e-2), 128);
  v128.store(target, f32x4.splat(1.6666665459e-1), 144);
  v128.store(target, f32x4.splat(5.0000001201e-1), 160);
  v128.store(target, f32x4.splat(1), 176);
}

export const EXP_CONSTANTS_BYTES: usize = 192;

/**
 * Vectors x ⩽ shift to e^(x − shift) in place, relative error below 3e-7 (e^−86 for all below); returns their sum.
 * The steps of exp4.
 */
@inline
export function expShifted(address: usize, end: usize, shift: v128, constants: usize): v128 {
  const lowest = v128.load(constants);
  const log2e = v128.load(constants, 16);
  const rounder = v128.load(constants, 32);
  const ln2High = v128.load(constants, 48);
  const ln2Low = v128.load(constants, 64);
  const c0 = v128.load(constants, 80);
  const c1 = v128.load(constants, 96);
  const c2 = v128.load(constants, 112);
  const c3 = v128.load(constants, 128);
  const c4 = v128.load(constants, 144);
  const c5 = v128.load(constants, 160);
  const one = v128.load(constants, 176);
  let sum = f32x4.splat(0);
  for (; address < end; address += 16) {
    const x = f32x4.pmax(f32x4.sub(v128.load(address), shift), lowest);
    const t = madd(x, log2e, rounder);
    const n = f32x4.sub(t, rounder);
    const r = nmadd(n, ln2Low, nmadd(n, ln2High, x));
    let p = madd(madd(madd(madd(madd(c0, r, c1), r, c2), r, c3), r, c4), r, c5);
    p = i32x4.add(madd(madd(p, r, one), r, one), i32x4.shl(t, 23));
    v128.store(address, p);
    sum = f32x4.add(sum, p);
  }
  return sum;
}
