// Activations as the quantized matrix products read them: 8-bit codes in 16-bit lanes with one scale per 32 columns.

/** Columns that share one activation scale. */
export const ACTIVATION_GROUP: i32 = 32;

// @ts-ignore: decorator
@inline
function maxLane(v: v128): f32 {
  const m = f32x4.max(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1));
}

// @ts-ignore: decorator
@inline
function codes8(x: usize, inverse: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), inverse)));
  return i16x8.narrow_i32x4_s(low, high);
}

// @ts-ignore: decorator
@inline
function sumCodes(a: v128, b: v128): i32 {
  const ones = i16x8.splat(1);
  const s = i32x4.add(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones));
  return i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) + i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3);
}

/**
 * Quantizes `groups` consecutive groups of 32 floats: code = round(x / scale), scale = max|x| / 127.
 * @param codes i16[32 × groups]
 * @param scales f32[groups]
 * @param sums f32[2 × groups]: scale × sum of codes for each half group, which the types with minima need
 */
export function quantizeActivations(x: usize, codes: usize, scales: usize, sums: usize, groups: i32): void {
  for (let g: i32 = 0; g < groups; g++) {
    let m = f32x4.abs(v128.load(x));
    for (let i: usize = 16; i < 128; i += 16) m = f32x4.max(m, f32x4.abs(v128.load(x + i)));
    const largest = maxLane(m);
    const scale: f32 = largest / 127;
    const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
    const c0 = codes8(x, inverse);
    const c1 = codes8(x + 32, inverse);
    const c2 = codes8(x + 64, inverse);
    const c3 = codes8(x + 96, inverse);
    v128.store(codes, c0);
    v128.store(codes, c1, 16);
    v128.store(codes, c2, 32);
    v128.store(codes, c3, 48);
    store<f32>(scales, scale);
    store<f32>(sums, scale * <f32>sumCodes(c0, c1));
    store<f32>(sums, scale * <f32>sumCodes(c2, c3), 4);
    x += 128;
    codes += 64;
    scales += 4;
    sums += 8;
  }
}
