import { half } from '../unpack/vectors';

// The small integers of super-blocks of 256 columns: scales and minima of groups, and the halves they multiply.

/**
 * The halves at `offset` of the blocks of eight rows to u16[8] at `target`.
 * @param block the block in the first row; the other rows' are `rowBytes` apart
 */
export function packHalves(block: usize, rowBytes: usize, offset: usize, target: usize): void {
  for (let r: usize = 0; r < 8; r++) store<u16>(target + 2 * r, load<u16>(block + r * rowBytes + offset));
}

/**
 * Integers of eight rows to bytes[8], from their products with a half float, which are exact.
 * @param products f32 of the first row; the other rows' are `stride` bytes apart
 * @param halves u16[8]
 */
export function packIntegers(products: usize, stride: usize, halves: usize, target: usize): void {
  for (let r: usize = 0; r < 8; r++) {
    const unit = half(load<u16>(halves + 2 * r));
    // Zero times anything is zero, whatever the integers were.
    const integer: f32 = unit == 0 ? 0 : nearest<f32>(load<f32>(products + r * stride) / unit);
    store<u8>(target + r, <u8>(<i32>integer));
  }
}

/** Words (a, a, b, b, c, c, d, d) of the first four of eight words, and of the last four. */
@inline
export function twiceLow(words: v128): v128 {
  return v128.shuffle<i16>(words, words, 0, 0, 1, 1, 2, 2, 3, 3);
}

@inline
export function twiceHigh(words: v128): v128 {
  return v128.shuffle<i16>(words, words, 4, 4, 5, 5, 6, 6, 7, 7);
}

/** Words (a0, b0, a1, b1, …) of the first four of each, and of the last four. */
@inline
export function zipLow(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
export function zipHigh(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** First four of eight words as floats, and last four; the words are below 32768. */
@inline
export function floatsLow(words: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(words));
}

@inline
export function floatsHigh(words: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(words));
}
