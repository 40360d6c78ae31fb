// The instruction that multiplies 16 signed bytes with 16 below 128 and accumulates fours of the products in 32 bits.
// Where the processor has it (AVX-VNNI, dotprod of ARM) and the engine uses it, it replaces six others, and what the
// standard leaves open is exact: bytes from 128 on are taken as unsigned (AVX-VNNI) or as negative (ARM). The build in
// which ACCUMULATING_DOT is 1 needs such a processor; elsewhere the instruction is emulated slowly, and saturates.

/** Greatest unsigned code of weights that products with activations in bytes take. */
export function greatestCode(): i32 {
  return ACCUMULATING_DOT ? 255 : 127;
}

/**
 * What is added to signed codes that take a whole byte, to be multiplied: 128 where these are unsigned, else 0. Their
 * sums begin with `shiftSums`.
 */
export let codeShift: i32 = 0;

/** Finds out how the processor takes bytes from 128 on. */
export function setCodeShift(): void {
  if (ACCUMULATING_DOT) {
    const minusOnes = addDots(i32x4.splat(0), i8x16.splat(1), i8x16.splat(-1));
    codeShift = i32x4.extract_lane(minusOnes, 0) < 0 ? 0 : 128;
  }
}

/** Signed codes as they are multiplied. */
@inline
export function shifted(codes: v128): v128 {
  return v128.xor(codes, i8x16.splat(<i8>codeShift));
}

/** As `shiftSums` takes it. */
@inline
export function negativeShift(): v128 {
  return i16x8.splat(<i16>-codeShift);
}

/** What makes up for the shift of the codes that are multiplied with the 32 columns of an activation block. */
@inline
export function shiftSums(negative: v128, x: usize): v128 {
  // The sums of the first and of the last 16 columns are side by side.
  return i32x4.dot_i16x8_s(negative, v128.load_splat<i32>(x, 50));
}

@inline
export function addDots(sums: v128, x: v128, w: v128): v128 {
  if (ACCUMULATING_DOT) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sums);
  return unreachable();
}

/** Adds the products of sixteen columns of four rows with a token's. */
@inline
export function addDots16(sums: v128, w0: v128, w1: v128, w2: v128, w3: v128, x: usize): v128 {
  sums = addDots(sums, v128.load_splat<i32>(x), w0);
  sums = addDots(sums, v128.load_splat<i32>(x, 4), w1);
  sums = addDots(sums, v128.load_splat<i32>(x, 8), w2);
  return addDots(sums, v128.load_splat<i32>(x, 12), w3);
}
