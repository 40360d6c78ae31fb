// Activations as the quantized matrix products read them: blocks of 32 columns with one scale.
//
// A block holds 32 codes and then four floats: scale, scale × sum of the codes, scale × sum of the first 16 codes,
// scale × sum of the last 16. Everything a product needs of a block is behind one pointer, which leaves registers to
// the inner loops. Codes are bytes or, for weights that the byte products cannot take (matmul-bytes.ts), words.

export const BYTE_BLOCK: usize = 48;
export const WORD_BLOCK: usize = 80;

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
 * @param bytes codes as bytes, not words
 * @param target first block; the others follow `stride` bytes apart
 */
export function quantizeActivations(x: usize, bytes: bool, target: usize, stride: usize, groups: i32): void {
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
    let floats = target + 32;
    if (bytes) {
      v128.store(target, i8x16.narrow_i16x8_s(c0, c1));
      v128.store(target, i8x16.narrow_i16x8_s(c2, c3), 16);
    } else {
      v128.store(target, c0);
      v128.store(target, c1, 16);
      v128.store(target, c2, 32);
      v128.store(target, c3, 48);
      floats += 32;
    }
    const first = sumCodes(c0, c1);
    const second = sumCodes(c2, c3);
    store<f32>(floats, scale);
    store<f32>(floats, scale * <f32>(first + second), 4);
    store<f32>(floats, scale * <f32>first, 8);
    store<f32>(floats, scale * <f32>second, 12);
    x += 128;
    target += stride;
  }
}
