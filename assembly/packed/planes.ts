import { transposeCodes4 } from '../panel';
import { unpack } from '../unpack/index';
import { bytesOf } from './constants';

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

/** Two bits of eight slices to two vectors, four slices in each. */
export function packPairs(slices: usize, target: usize): void {
  for (const end = slices + 128; slices < end; slices += 64) {
    const low = v128.or(v128.load(slices), bits(v128.load(slices, 16), -2, i8x16.splat(12)));
    const high = v128.or(
      bits(v128.load(slices, 32), -4, i8x16.splat(48)),
      bits(v128.load(slices, 48), -6, i8x16.splat(<i8>0xc0)),
    );
    v128.store(target, v128.or(low, high));
    target += 16;
  }
}

/**
 * Six bits of eight slices to six vectors, three for each four slices: the first three in the lowest bits, two bits of
 * the fourth above each.
 */
export function packSixes(slices: usize, target: usize): void {
  const top = i8x16.splat(<i8>0xc0);
  for (const end = slices + 128; slices < end; slices += 64) {
    const fourth = v128.load(slices, 48);
    v128.store(target, v128.or(v128.load(slices), bits(fourth, -6, top)));
    v128.store(target, v128.or(v128.load(slices, 16), bits(fourth, -4, top)), 16);
    v128.store(target, v128.or(v128.load(slices, 32), bits(fourth, -2, top)), 32);
    target += 48;
  }
}

/**
 * Five bits of eight slices to five vectors: the first five slices in the lowest bits; above those three bits of each
 * of the others, then their last two: of slice 5 above slice 3, of slice 6 above slice 4, of slice 7 in the top bits.
 */
export function packFives(slices: usize, target: usize): void {
  const three = i8x16.splat(<i8>0xe0);
  const two = i8x16.splat(0x60);
  const one = i8x16.splat(<i8>0x80);
  const s5 = v128.load(slices, 80);
  const s6 = v128.load(slices, 96);
  const s7 = v128.load(slices, 112);
  v128.store(target, v128.or(v128.load(slices), bits(s5, -5, three)));
  v128.store(target, v128.or(v128.load(slices, 16), bits(s6, -5, three)), 16);
  v128.store(target, v128.or(v128.load(slices, 32), bits(s7, -5, three)), 32);
  v128.store(target, v128.or(v128.load(slices, 48), v128.or(bits(s5, -2, two), bits(s7, -4, one))), 48);
  v128.store(target, v128.or(v128.load(slices, 64), v128.or(bits(s6, -2, two), bits(s7, -3, one))), 64);
}

/**
 * Three bits of eight slices to three vectors: two slices in the lower bits of each; in the upper ones two bits of
 * slice 6, two of slice 7, and the third of each.
 */
export function packThrees(slices: usize, target: usize): void {
  const two = i8x16.splat(<i8>0xc0);
  const s6 = v128.load(slices, 96);
  const s7 = v128.load(slices, 112);
  const thirds = v128.or(bits(s6, -4, i8x16.splat(0x40)), bits(s7, -5, i8x16.splat(<i8>0x80)));
  v128.store(target, v128.or(pairOfThrees(slices), bits(s6, -6, two)));
  v128.store(target, v128.or(pairOfThrees(slices + 32), bits(s7, -6, two)), 16);
  v128.store(target, v128.or(pairOfThrees(slices + 64), thirds), 32);
}

@inline
function pairOfThrees(slices: usize): v128 {
  return v128.or(v128.load(slices), bits(v128.load(slices, 16), -3, i8x16.splat(0x38)));
}

/** Bit `bit` of eight slices to one vector: slice i in bit i of its bytes. */
export function packBits(slices: usize, bit: i32, target: usize): void {
  const one = i8x16.splat(1);
  let packed = i8x16.splat(0);
  for (let i: i32 = 0; i < 8; i++) {
    const v = v128.and(i16x8.shr_u(v128.load(slices + 16 * <usize>i), bit), one);
    packed = v128.or(packed, i8x16.shl(v, i));
  }
  v128.store(target, packed);
}

// Slice `i` (constant) of a group from its planes.

/** Four bits, from the vectors of packNibbles. */
@inline
export function nibbleSlice(planes: usize, i: i32): v128 {
  return bits(v128.load(planes + <usize>(i >> 1) * 16), (i & 1) * 4, bytesOf(15));
}

/** Two bits, from the vectors of packPairs. */
@inline
export function pairSlice(planes: usize, i: i32): v128 {
  return bits(v128.load(planes + <usize>(i >> 2) * 16), (i & 3) * 2, bytesOf(3));
}

/** Six bits, from the vectors of packSixes. */
@inline
export function sixSlice(planes: usize, i: i32): v128 {
  const four = planes + <usize>(i >> 2) * 48;
  if ((i & 3) < 3) return v128.and(v128.load(four + <usize>(i & 3) * 16), bytesOf(63));
  return v128.or(
    v128.or(bits(v128.load(four), 6, bytesOf(3)), bits(v128.load(four, 16), 4, bytesOf(12))),
    bits(v128.load(four, 32), 2, bytesOf(48)),
  );
}

/** Five bits, from the vectors of packFives. */
@inline
export function fiveSlice(planes: usize, i: i32): v128 {
  if (i < 5) return v128.and(v128.load(planes + <usize>i * 16), bytesOf(31));
  const low = bits(v128.load(planes + <usize>(i - 5) * 16), 5, bytesOf(7));
  if (i < 7) return v128.or(low, bits(v128.load(planes + <usize>(i - 2) * 16), 2, bytesOf(24)));
  return v128.or(
    low,
    v128.or(bits(v128.load(planes, 48), 4, bytesOf(8)), bits(v128.load(planes, 64), 3, bytesOf(16))),
  );
}

/** Three bits, from the vectors of packThrees. */
@inline
export function threeSlice(planes: usize, i: i32): v128 {
  if (i < 6) return bits(v128.load(planes + <usize>(i >> 1) * 16), (i & 1) * 3, bytesOf(7));
  return v128.or(
    bits(v128.load(planes + <usize>(i - 6) * 16), 6, bytesOf(3)),
    bits(v128.load(planes, 32), i - 2, bytesOf(4)),
  );
}
