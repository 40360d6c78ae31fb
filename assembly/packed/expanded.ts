import { madd } from '../math';
import { dots16, pairSums } from '../product-bytes';
import { lookUp } from '../unpack/vectors';
import { QUAD, spread } from './grids';
import { loadHalves4 } from './halves';
import { packIQ2_S, packIQ2_XS, packIQ2_XXS, unpackIQ2_S, unpackIQ2_XS, unpackIQ2_XXS } from './iq2';
import { packIQ3_S, packIQ3_XXS, unpackIQ3_S, unpackIQ3_XXS } from './iq3';
import { codesOf } from './iq4';
import { packNibbles } from './planes';

// Grids expanded to a 4-bit code for each weight, the forms of `full` mode of the IQ2 and IQ3 types. Per 256 columns:
// u8[8][8] scales 2s + 1 of groups of eight rows, in types with two in a group u8[8][2][8], then f16[8] super-scales,
// then for each group the nibbles of both quads. weight = unit · d · scale · (value of the code − offset).
//
// In IQ3_S, whose magnitudes are odd, value = 2 · code; the others have a table, and values too large for sums of
// products in 16 bits.

const GROUP: usize = 128;
const IQ2_OFFSET: i32 = 43;
const IQ3XXS_OFFSET: i32 = 62;
const IQ3S_OFFSET: i32 = 15;

@inline
function headBytes(halves: bool): usize {
  return halves ? 144 : 80;
}

/** ±43, ±25, ±8 */
@inline
function iq2Values(): v128 {
  return i8x16(0, 18, 35, 51, 68, 86, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

/** ±62, ±52, ±44 and so on to ±4 */
@inline
function iq3xxsValues(): v128 {
  return i8x16(0, 10, 18, 26, 34, 42, 50, 58, 66, 74, 82, 90, 98, 106, 114, 124);
}

/** The codes 2n of IQ3_S. */
@inline
function evenValues(): v128 {
  return i8x16(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

/**
 * A lean panel at `scratch` with quads of `quadBytes`, scales first, whose unpacked codes are at 12K, to an expanded
 * one. The codes are replaced by their numbers.
 */
function expand(scratch: usize, quadBytes: usize, columns: i32, halves: bool, table: v128, target: usize): void {
  const k = <usize>columns;
  const numbers = scratch + 24 * k;
  v128.store(numbers + 128, table);
  // Backwards, for the first of equal values.
  for (let i: usize = 16; i > 0; i--) store<u8>(numbers + load<u8>(numbers + i, 127), i - 1);
  const codes = scratch + 12 * k;
  for (let at = codes; at < codes + 8 * k; at++) store<u8>(at, load<u8>(numbers + load<u8>(at)));
  const scaleBytes: usize = halves ? 32 : 16;
  for (let block: usize = 0; block < k >> 8; block++) {
    for (let quad: usize = 0; quad < 2; quad++) {
      const head = scratch + (2 * block + quad) * quadBytes;
      for (let i: usize = 0; i < scaleBytes; i++) {
        const packed = load<u8>(head + i);
        const to = target + 2 * (i & ~3) + 4 * quad + (i & 3);
        store<u8>(to, 2 * (packed & 15) + 1);
        store<u8>(to + 2 * scaleBytes, 2 * (packed >> 4) + 1);
      }
      store<u64>(target + 4 * scaleBytes + 8 * quad, load<u64>(head + scaleBytes));
    }
    target += headBytes(halves);
    for (let slices = codes + (block << 10), end = slices + 1024; slices < end; slices += 128) {
      packNibbles(slices, target);
      packNibbles(slices + 4 * k, target + 64);
      target += GROUP;
    }
  }
}

/** Four columns of a quad times a token and `k`, which is in both halves of each row's lane. */
@inline
function scaled(codes: usize, i: i32, x: v128, k: v128, table: v128, low: v128): v128 {
  return i32x4.dot_i16x8_s(pairSums(x, lookUp(table, codesOf(codes, i, low))), k);
}

@inline
function scaled16(codes: usize, i: i32, x: usize, k: v128, table: v128, low: v128): v128 {
  return i32x4.add(
    i32x4.add(
      scaled(codes, i, v128.load_splat<i32>(x), k, table, low),
      scaled(codes, i + 1, v128.load_splat<i32>(x, 4), k, table, low),
    ),
    i32x4.add(
      scaled(codes, i + 2, v128.load_splat<i32>(x, 8), k, table, low),
      scaled(codes, i + 3, v128.load_splat<i32>(x, 12), k, table, low),
    ),
  );
}

/** Four rows' scales, each in both halves of the row's lane. */
@inline
function scalesOf(bytes: usize, rows: v128): v128 {
  return lookUp(v128.load_splat<u32>(bytes), rows);
}

/** A group of a quad times a token, in integers; the next half group's scales are 8 bytes on. */
@inline
function quadSums(
  codes: usize, scales: usize, x: usize, halves: bool, offset: v128, table: v128, low: v128, rows: v128,
): v128 {
  const first = scalesOf(scales, rows);
  const last = halves ? scalesOf(scales + 8, rows) : first;
  const pair = halves ? v128.bitselect(first, last, i32x4.splat(0xffff)) : first;
  // The sums of the first and of the last 16 codes are side by side.
  const offsets = i32x4.dot_i16x8_s(i16x8.mul(pair, offset), v128.load_splat<u32>(x, 50));
  const sum = i32x4.add(offsets, scaled16(codes, 0, x, first, table, low));
  return i32x4.add(sum, scaled16(codes, 4, x + 16, last, table, low));
}

@inline
function times(
  panel: usize, columns: i32, x: usize, xStride: usize, sums: usize, halves: bool, offset: i32, unit: f32, table: v128,
): void {
  const low = i8x16.splat(15);
  const rows = spread(QUAD);
  const minus = i16x8.splat(-<i16>offset);
  v128.store(sums, f32x4.splat(0));
  v128.store(sums, f32x4.splat(0), 16);
  for (let block = columns >> 8; block > 0; block--) {
    let a = f32x4.splat(0);
    let b = a;
    let scale = panel;
    panel += headBytes(halves);
    const d = panel - 16;
    for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
      const xs = v128.load_splat<f32>(x, 32);
      const i = quadSums(panel, scale, x, halves, minus, table, low, rows);
      a = madd(f32x4.convert_i32x4_s(i), xs, a);
      const j = quadSums(panel + 64, scale + 4, x, halves, minus, table, low, rows);
      b = madd(f32x4.convert_i32x4_s(j), xs, b);
      scale += halves ? 16 : 8;
      x += xStride;
    }
    const units = f32x4.splat(unit);
    v128.store(sums, madd(f32x4.mul(a, units), loadHalves4(d), v128.load(sums)));
    v128.store(sums, madd(f32x4.mul(b, units), loadHalves4(d + 8), v128.load(sums, 16)), 16);
  }
}

@inline
function sum16(codes: usize, i: i32, x: usize, low: v128): v128 {
  return dots16(
    codesOf(codes, i, low), codesOf(codes, i + 1, low), codesOf(codes, i + 2, low), codesOf(codes, i + 3, low), x);
}

/** A group of a quad times a token: (2 · code − 15) times the scale. */
@inline
function oddSums(codes: usize, scales: usize, x: usize, offset: v128, low: v128, rows: v128): v128 {
  const k = scalesOf(scales, rows);
  const offsets = i32x4.dot_i16x8_s(i16x8.mul(k, offset), v128.load_splat<u32>(x, 50));
  const sum = i16x8.add(sum16(codes, 0, x, low), sum16(codes, 4, x + 16, low));
  return i32x4.add(offsets, i32x4.dot_i16x8_s(sum, i16x8.add(k, k)));
}

export function timesExpandedIQ3_S(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const low = i8x16.splat(15);
  const rows = spread(QUAD);
  const minus = i16x8.splat(-<i16>IQ3S_OFFSET);
  v128.store(sums, f32x4.splat(0));
  v128.store(sums, f32x4.splat(0), 16);
  for (let block = columns >> 8; block > 0; block--) {
    let a = f32x4.splat(0);
    let b = a;
    let scale = panel;
    panel += headBytes(false);
    const d = panel - 16;
    for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
      const xs = v128.load_splat<f32>(x, 32);
      a = madd(f32x4.convert_i32x4_s(oddSums(panel, scale, x, minus, low, rows)), xs, a);
      b = madd(f32x4.convert_i32x4_s(oddSums(panel + 64, scale + 4, x, minus, low, rows)), xs, b);
      scale += 8;
      x += xStride;
    }
    v128.store(sums, madd(a, loadHalves4(d), v128.load(sums)));
    v128.store(sums, madd(b, loadHalves4(d + 8), v128.load(sums, 16)), 16);
  }
}

@inline
function storeScales(bytes: usize, d: v128, offset: i32, scales: usize, mins: usize): void {
  const words = i16x8.extend_low_i8x16_u(v128.load_zero<u32>(bytes));
  const f = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)), d);
  v128.store(scales, f);
  v128.store(mins, f32x4.mul(f, f32x4.splat(<f32>offset)));
}

@inline
function unpackQuad(panel: usize, table: v128, low: v128, codes: usize): void {
  for (const end = panel + 64; panel < end; panel += 16) {
    v128.store(codes, lookUp(table, codesOf(panel, 0, low)));
    v128.store(codes, lookUp(table, codesOf(panel, 1, low)), 16);
    codes += 32;
  }
}

@inline
function unpack(
  panel: usize, columns: i32, codes: usize, scales: usize, mins: usize, halves: bool, offset: i32, unit: f32,
  table: v128,
): void {
  const k = <usize>columns;
  const next = halves ? k : k >> 1;
  const low = i8x16.splat(15);
  const units = f32x4.splat(unit);
  for (const end = codes + 4 * k; codes < end; ) {
    let scale = panel;
    panel += headBytes(halves);
    const d0 = f32x4.mul(loadHalves4(panel - 16), units);
    const d1 = f32x4.mul(loadHalves4(panel - 8), units);
    for (const tail = panel - 16; scale < tail; scale += 8) {
      storeScales(scale, d0, offset, scales, mins);
      storeScales(scale + 4, d1, offset, scales + next, mins + next);
      scales += 16;
      mins += 16;
    }
    for (const block = panel + 8 * GROUP; panel < block; panel += GROUP) {
      unpackQuad(panel, table, low, codes);
      unpackQuad(panel + 64, table, low, codes + 4 * k);
      codes += 128;
    }
  }
}

export function packExpandedIQ2_XXS(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  packIQ2_XXS(source, rowBytes, columns, scratch, scratch + 12 * k);
  unpackIQ2_XXS(scratch, columns, scratch + 12 * k, scratch + 20 * k, scratch + 22 * k);
  expand(scratch, 280, columns, false, iq2Values(), target);
}

export function timesExpandedIQ2_XXS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, x, xStride, sums, false, IQ2_OFFSET, 0.125, iq2Values());
}

export function unpackExpandedIQ2_XXS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, false, IQ2_OFFSET, 0.125, iq2Values());
}

export function packExpandedIQ2_XS(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  packIQ2_XS(source, rowBytes, columns, scratch, scratch + 12 * k);
  unpackIQ2_XS(scratch, columns, scratch + 12 * k, scratch + 20 * k, scratch + 22 * k);
  expand(scratch, 328, columns, true, iq2Values(), target);
}

/** Of IQ2_S, too. */
export function timesExpandedIQ2_XS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, x, xStride, sums, true, IQ2_OFFSET, 0.125, iq2Values());
}

export function unpackExpandedIQ2_XS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, true, IQ2_OFFSET, 0.125, iq2Values());
}

export function packExpandedIQ2_S(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  packIQ2_S(source, rowBytes, columns, scratch, scratch + 12 * k);
  unpackIQ2_S(scratch, columns, scratch + 12 * k, scratch + 20 * k, scratch + 22 * k);
  expand(scratch, 328, columns, true, iq2Values(), target);
}

export function packExpandedIQ3_XXS(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  packIQ3_XXS(source, rowBytes, columns, scratch);
  unpackIQ3_XXS(scratch, columns, scratch + 12 * k, scratch + 20 * k, scratch + 22 * k);
  expand(scratch, 408, columns, false, iq3xxsValues(), target);
}

export function timesExpandedIQ3_XXS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, x, xStride, sums, false, IQ3XXS_OFFSET, 0.25, iq3xxsValues());
}

export function unpackExpandedIQ3_XXS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, false, IQ3XXS_OFFSET, 0.25, iq3xxsValues());
}

export function packExpandedIQ3_S(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  packIQ3_S(source, rowBytes, columns, scratch);
  unpackIQ3_S(scratch, columns, scratch + 12 * k, scratch + 20 * k, scratch + 22 * k);
  expand(scratch, 472, columns, false, evenValues(), target);
}

export function unpackExpandedIQ3_S(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, false, IQ3S_OFFSET, 1, evenValues());
}
