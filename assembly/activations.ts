import { ROUNDER } from './math';

// Activations as the quantized matrix products read them: blocks of 32 columns with one scale.
//
// A block holds 32 codes and then four floats: scale, scale × sum of the codes, scale × sum of the first 16 codes,
// scale × sum of the last 16. Everything a product needs of a block is behind one pointer, which leaves registers to
// the inner loops. Codes are bytes or, for weights that the byte products cannot take (matmul-bytes.ts), words.

export const BYTE_BLOCK: usize = 48;
export const WORD_BLOCK: usize = 80;

/** Eight floats times `inverse`, rounded. */
@inline
function codes8(x: usize, inverse: v128, rounder: v128): v128 {
  const low = i32x4.sub(f32x4.add(f32x4.mul(v128.load(x), inverse), rounder), rounder);
  const high = i32x4.sub(f32x4.add(f32x4.mul(v128.load(x, 16), inverse), rounder), rounder);
  return i16x8.narrow_i32x4_s(low, high);
}

@inline
function sumPairs(a: v128, b: v128, ones: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones));
}

/** Of four sums of the first 16 codes and four of the others: (any, all, first 16, others). */
@inline
function combineSums(first: v128, second: v128): v128 {
  const pairs = i32x4.add(
    v128.shuffle<i32>(first, second, 0, 1, 4, 5), v128.shuffle<i32>(first, second, 2, 3, 6, 7));
  const halves = i32x4.add(v128.shuffle<i32>(pairs, pairs, 0, 0, 0, 2), v128.shuffle<i32>(pairs, pairs, 1, 1, 1, 3));
  const others = v128.shuffle<i32>(halves, i32x4.splat(0), 4, 3, 4, 4);
  return i32x4.add(halves, others);
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
  const ones = i16x8.splat(1);
  for (let g: i32 = 0; g < groups; g++) {
    const largest = largestOf32(x);
    const scale: f32 = largest / 127;
    const inverse = f32x4.splat(largest > 0 ? 127 / largest : 0);
    const c0 = codes8(x, inverse, rounder);
    const c1 = codes8(x + 32, inverse, rounder);
    const c2 = codes8(x + 64, inverse, rounder);
    const c3 = codes8(x + 96, inverse, rounder);
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
    const sums = f32x4.convert_i32x4_s(combineSums(sumPairs(c0, c1, ones), sumPairs(c2, c3, ones)));
    v128.store(floats, f32x4.replace_lane(f32x4.mul(sums, f32x4.splat(scale)), 0, scale));
    x += 128;
    target += stride;
  }
}
