import { transposeCodes4 } from '../panel';
import { unpack } from '../unpack/index';

// Codes of four rows in bit planes. A slice is four columns of four rows, one code a byte: 4 × 32 bits, each of a row,
// as the byte products take them. Eight slices are a group of 32 columns; slice i of the panels that `layOutRows`
// makes begins at byte 16i.

/**
 * Eight ggml rows to the scratch of a product: unsigned codes (plus `offset`) in slices at 12K for the first four rows
 * and 16K for the others, scales f32[8][K / group] at 8K and minima likewise at 10K.
 */
export function layOutRows(
  type: i32, source: usize, rowBytes: usize, columns: i32, blockColumns: i32, group: i32, offset: i32,
  scratch: usize,
): void {
  const k = <usize>columns;
  const groupBytes = k / <usize>group << 2;
  for (let r: usize = 0; r < 8; r++) {
    const scales = scratch + 8 * k + r * groupBytes;
    unpack(type, source + r * rowBytes, scratch + r * k, scales, scales + 2 * k, columns / blockColumns);
  }
  transposeCodes4(scratch, columns, scratch + 12 * k, offset);
  transposeCodes4(scratch + 4 * k, columns, scratch + 16 * k, offset);
}

/** The bits of each byte that `mask` keeps after a move down by `down` (constant; negative: up). */
@inline
export function bits(v: v128, down: i32, mask: v128): v128 {
  if (down > 0) return v128.and(i16x8.shr_u(v, down), mask);
  if (down < 0) return v128.and(i16x8.shl(v, -down), mask);
  return v128.and(v, mask);
}

/** Lowest four bits of eight slices to four vectors: slices 2i and 2i + 1 in the halves of the bytes of the i-th. */
export function packNibbles(slices: usize, target: usize): void {
  const low = i8x16.splat(15);
  for (const end = slices + 128; slices < end; slices += 32) {
    v128.store(target, v128.or(bits(v128.load(slices), 0, low), bits(v128.load(slices, 16), -4, v128.not(low))));
    target += 16;
  }
}

/** Bits 0 … 1 of `v >> down` of eight slices to two vectors: four slices in the bits of the bytes of each. */
export function packPairs(slices: usize, down: i32, target: usize): void {
  const two = i8x16.splat(3);
  for (const end = slices + 128; slices < end; slices += 64) {
    const a = v128.and(i16x8.shr_u(v128.load(slices), down), two);
    const b = v128.and(i16x8.shr_u(v128.load(slices, 16), down), two);
    const c = v128.and(i16x8.shr_u(v128.load(slices, 32), down), two);
    const d = v128.and(i16x8.shr_u(v128.load(slices, 48), down), two);
    const ab = v128.or(a, i16x8.shl(b, 2));
    v128.store(target, v128.or(ab, i16x8.shl(v128.or(c, i16x8.shl(d, 2)), 4)));
    target += 16;
  }
}

/** Bit `bit` of eight slices to one vector: slice i in bit i of its bytes. */
export function packBits(slices: usize, bit: i32, target: usize): void {
  const one = i8x16.splat(1);
  let packed = i8x16.splat(0);
  for (let i: i32 = 0; i < 8; i++) {
    const v = v128.and(i16x8.shr_u(v128.load(slices + 16 * <usize>i), bit), one);
    packed = v128.or(packed, i16x8.shl(v, i));
  }
  v128.store(target, packed);
}

// Slice `i` (constant) of a group from its planes.

/** Four bits, from the vectors of packNibbles. */
@inline
export function nibbleSlice(planes: usize, i: i32, low: v128): v128 {
  return bits(v128.load(planes + <usize>(i >> 1) * 16), (i & 1) * 4, low);
}

/** Two bits, from the vectors of packPairs. */
@inline
export function pairSlice(planes: usize, i: i32, two: v128): v128 {
  return bits(v128.load(planes + <usize>(i >> 2) * 16), (i & 3) * 2, two);
}
