import { ROUNDER } from './math';

// Activations as the quantized matrix products read them: blocks of 32 columns with one scale.
//
// A block holds 32 codes and then four floats: scale, scale × sum of the codes, scale × sum of the first 16 codes,
// scale × sum of the last 16. Everything a product needs of a block is behind one pointer, which leaves registers to
// the inner loops. Codes are bytes or, for weights that the byte products cannot take (product-bytes.ts), words.
// Blocks of bytes end with eight 16-bit integers for products that stay in integers: sum of the first 16 codes, the
// same again, sum of the last 16, the same again, and the sums of each eight codes.

export const BYTE_BLOCK: usize = 64;
export const WORD_BLOCK: usize = 80;

/** Eight floats times `inverse`, rounded. */
@inline
function codes8(x: usize, inverse: v128, rounder: v128): v128 {
  const low = i32x4.sub(f32x4.add(f32x4.mul(v128.load(x), inverse), rounder), rounder);
  const high = i32x4.sub(f32x4.add(f32x4.mul(v128.load(x, 16), inverse), rounder), rounder);
  return i16x8.narrow_i32x4_s(low, high);
}

/** Sums of the eight codes in each of four vectors. */
@inline
function sumEights(c0: v128, c1: v128, c2: v128, c3: v128): v128 {
  const ones = i16x8.splat(1);
  const s0 = i32x4.dot_i16x8_s(c0, ones);
  const s1 = i32x4.dot_i16x8_s(c1, ones);
  const s2 = i32x4.dot_i16x8_s(c2, ones);
  const s3 = i32x4.dot_i16x8_s(c3, ones);
  const s01 = i32x4.add(v128.shuffle<i32>(s0, s1, 0, 4, 1, 5), v128.shuffle<i32>(s0, s1, 2, 6, 3, 7));
  const s23 = i32x4.add(v128.shuffle<i32>(s2, s3, 0, 4, 1, 5), v128.shuffle<i32>(s2, s3, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(s01, s23, 0, 1, 4, 5), v128.shuffle<i32>(s01, s23, 2, 3, 6, 7));
}

/** Largest magnitude, as a float; NaN when there is one. */
@inline
function largestOf32(x: usize): f32 {
  // Bits without their sign compare as integers as magnitudes do, and those of a NaN are greater than all numbers'.
  let m = i32x4.shl(v128.load(x), 1);
  for (let i: usize = 16; i < 128; i += 16) m = i32x4.max_u(m, i32x4.shl(v128.load(x + i), 1));
  m = i32x4.max_u(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  m = i32x4.max_u(m, v128.shuffle<i32>(m, m, 1, 0, 3, 2));
  return f32x4.extract_lane(i32x4.shr_u(m, 1), 0);
}

/**
 * Quantizes `groups` consecutive groups of 32 floats: code = round(x / scale), scale = max|x| / 127.
 * @param bytes codes as bytes, not words
 * @param target first block; the others follow `stride` bytes apart
 */
export function quantizeActivations(x: usize, bytes: bool, target: usize, stride: usize, groups: i32): void {
  const rounder = f32x4.splat(ROUNDER);
  for (let g: i32 = 0; g < groups; g++) {
    const largest = largestOf32(x);
    const scale: f32 = largest / 127;
    const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
    const c0 = codes8(x, inverse, rounder);
    const c1 = codes8(x + 32, inverse, rounder);
    const c2 = codes8(x + 64, inverse, rounder);
    const c3 = codes8(x + 96, inverse, rounder);
    const eights = sumEights(c0, c1, c2, c3);
    const halves = i32x4.add(eights, v128.shuffle<i32>(eights, eights, 1, 0, 3, 2));
    const all = i32x4.add(halves, v128.shuffle<i32>(halves, halves, 2, 3, 0, 1));
    const sums = f32x4.convert_i32x4_s(v128.shuffle<i32>(all, halves, 0, 1, 4, 6));
    const floats = f32x4.replace_lane(f32x4.mul(sums, f32x4.splat(scale)), 0, scale);
    if (bytes) {
      v128.store(target, i8x16.narrow_i16x8_s(c0, c1));
      v128.store(target, i8x16.narrow_i16x8_s(c2, c3), 16);
      v128.store(target, floats, 32);
      v128.store(target, i16x8.narrow_i32x4_s(halves, eights), 48);
    } else {
      v128.store(target, c0);
      v128.store(target, c1, 16);
      v128.store(target, c2, 32);
      v128.store(target, c3, 48);
      v128.store(target, floats, 64);
    }
    x += 128;
    target += stride;
  }
}
