// Steps shared by the unpack kernels. Shifts of bytes are done on 16-bit lanes (x86 has no others): the bits that
// cross over from the neighbouring byte are masked away.

/** Value of an IEEE half; exact, with subnormals, infinities and the payload of a NaN. */
@inline
export function half(bits: u32): f32 {
  const magnitude = bits & 0x7fff;
  const normal = reinterpret<f32>((magnitude << 13) + (magnitude < 0x7c00 ? 0x38000000 : 0x70000000));
  const value = magnitude < 0x400 ? <f32>(<i32>magnitude) * <f32>5.9604644775390625e-8 : normal;
  return reinterpret<f32>(reinterpret<u32>(value) | ((bits & 0x8000) << 16));
}

@inline
export function loadHalf(address: usize): f32 {
  return half(load<u16>(address));
}

/** Lowest four bits of every byte. */
@inline
export function lowNibbles(v: v128): v128 {
  return v128.and(v, i8x16.splat(15));
}

/** Highest four bits of every byte, moved down. */
@inline
export function highNibbles(v: v128): v128 {
  return v128.and(i16x8.shr_u(v, 4), i8x16.splat(15));
}

/** The bits of each byte that `mask` keeps after a move up by `up` (constant; negative: down). */
@inline
export function moveBits(v: v128, up: i32, mask: i32): v128 {
  return v128.and(up < 0 ? i16x8.shr_u(v, -up) : i16x8.shl(v, up), i8x16.splat(<i8>mask));
}

/** For each of the lowest eight bytes: its low half, then its high half. */
@inline
export function zipNibbles(v: v128): v128 {
  return v128.shuffle<u8>(
    lowNibbles(v), highNibbles(v),
    0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
  );
}

/** Table entries by index; indices are below 16. */
@inline
export function lookUp(table: v128, indices: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, indices);
  return i8x16.swizzle(table, indices);
}

/** Eight bytes from each of two addresses. */
@inline
export function loadPair(first: usize, second: usize): v128 {
  return v128.load_lane<u64>(second, v128.load_zero<u64>(first), 1);
}

/** Negates the bytes whose mask is all ones. */
@inline
export function negateWhere(v: v128, mask: v128): v128 {
  return i8x16.sub(v128.xor(v, mask), mask);
}

/** Masks of 16 bytes from the bits of byte `first` and the next (constant) of `bits`. */
@inline
export function spreadBits(bits: v128, first: u8): v128 {
  const bytes =
    first == 0
      ? v128.shuffle<u8>(bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
      : v128.shuffle<u8>(bits, bits, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const bitOfLane = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return i8x16.eq(v128.and(bytes, bitOfLane), bitOfLane);
}

/** Eight 16-bit integers times `factor` to f32[8]. */
@inline
export function storeProducts8(target: usize, integers: v128, factor: f32): void {
  const f = f32x4.splat(factor);
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(integers)), f));
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(integers)), f), 16);
}

/** Sixteen signed bytes times `factor` to f32[16]. */
@inline
export function storeProducts16(target: usize, bytes: v128, factor: f32): void {
  storeProducts8(target, i16x8.extend_low_i8x16_s(bytes), factor);
  storeProducts8(target + 32, i16x8.extend_high_i8x16_s(bytes), factor);
}

/** 2n + 1 in eight or sixteen lanes of small integers. */
@inline
export function odd8(integers: v128): v128 {
  return i16x8.add(i16x8.add(integers, integers), i16x8.splat(1));
}

@inline
export function odd16(bytes: v128): v128 {
  return i8x16.add(i8x16.add(bytes, bytes), i8x16.splat(1));
}
