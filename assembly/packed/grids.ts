import { SPREAD_LANES, tables } from '../unpack/tables';
import { highNibbles, loadPair, lowNibbles, negateWhere, odd16 } from '../unpack/vectors';

// Shared by the packed forms of the types whose weights are entries of grids. Per 256 columns a panel holds two quads
// of four rows; a quad holds its scales, f16[4] super-scales and eight groups of 32 columns. Memory is read faster when
// it is read in order, so what is needed first comes first.
//
// Entries are found by scalar loads, which bound these products; so their numbers lie where two instructions get at
// each. Signs have all eight bits and lie so that adding a vector to itself brings the next vector's to the top.

export const LEFT_PAIR: usize = 0;
export const RIGHT_PAIR: usize = 16;
export const SECOND_LEFT_PAIR: usize = 32;
export const SECOND_RIGHT_PAIR: usize = 48;
export const QUAD: usize = 64;
export const QUAD_HALVES: usize = 80;
export const QUAD_SIGNED: usize = 96;

/**
 * Swizzle indices that spread scales in bytes over 16-bit lanes, for products of which each 32-bit lane belongs to a
 * row. LEFT_PAIR, RIGHT_PAIR: bytes 0, 1 or 2, 3 to two lanes of 32 bits each; SECOND_…: bytes 4, 5 or 6, 7. QUAD:
 * bytes 0 … 3 to a lane each. QUAD_HALVES: bytes 0, 4, 1, 5 and so on to 16 bits each. QUAD_SIGNED: QUAD times 256.
 */
@inline
export function spread(which: usize): v128 {
  return v128.load(tables + SPREAD_LANES + which);
}

/** Entries of eight bytes of two rows by their numbers. */
@inline
export function two(grid: usize, first: u32, second: u32): v128 {
  return loadPair(grid + (<usize>first << 3), grid + (<usize>second << 3));
}

/** `x`, negated where `signs` has its highest bit. */
@inline
export function signed(x: v128, signs: v128, zero: v128): v128 {
  return negateWhere(x, i8x16.lt_s(signs, zero));
}

/** The sign code's seven bits and the eighth, which makes the number of negative weights even. */
@inline
export function evenSigns(code: u32): u32 {
  return code | ((popcnt(code) & 1) << 7);
}

/** Rows and columns of 8 × 8 bits exchanged: bit j of byte i becomes bit i of byte j. */
export function transposeBits(bits: u64): u64 {
  let swap = (bits ^ (bits >> 7)) & 0x00aa00aa00aa00aa;
  bits ^= swap ^ (swap << 7);
  swap = (bits ^ (bits >> 14)) & 0x0000cccc0000cccc;
  bits ^= swap ^ (swap << 14);
  swap = (bits ^ (bits >> 28)) & 0x00000000f0f0f0f0;
  return bits ^ swap ^ (swap << 28);
}

/** 2s + 1 of the scales s in 16 bytes: those in the low halves to `target`, those in the high ones to the next 16. */
@inline
export function storeOdd32(packed: v128, target: usize, next: usize): void {
  v128.store(target, odd16(lowNibbles(packed)));
  v128.store(target + next, odd16(highNibbles(packed)));
}

/** Sums of two rows each, in four lanes, to those of four rows. */
@inline
export function foldPairs(left: v128, right: v128): v128 {
  return f32x4.add(v128.shuffle<i32>(left, right, 0, 2, 4, 6), v128.shuffle<i32>(left, right, 1, 3, 5, 7));
}

/** Eight columns of rows 0, 1 and of rows 2, 3 to two times four columns of four rows. */
@inline
export function storeOctet(codes: usize, left: v128, right: v128): void {
  v128.store(codes, v128.shuffle<i32>(left, right, 0, 2, 4, 6));
  v128.store(codes, v128.shuffle<i32>(left, right, 1, 3, 5, 7), 16);
}

/**
 * Scales of four groups of four rows in bytes, times the super-scales, and minima of unpacked panels, which make their
 * codes unsigned: `offset` times as much.
 */
@inline
export function storeScales4(bytes: v128, d: v128, offset: i32, scales: usize, mins: usize): void {
  storeScales2(i16x8.extend_low_i8x16_s(bytes), d, offset, scales, mins);
  storeScales2(i16x8.extend_high_i8x16_s(bytes), d, offset, scales + 32, mins + 32);
}

@inline
function storeScales2(words: v128, d: v128, offset: i32, scales: usize, mins: usize): void {
  const factor = f32x4.splat(<f32>offset);
  const first = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)), d);
  const second = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words)), d);
  v128.store(scales, first);
  v128.store(scales, second, 16);
  v128.store(mins, f32x4.mul(first, factor));
  v128.store(mins, f32x4.mul(second, factor), 16);
}
