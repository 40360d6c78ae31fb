import { madd } from '../math';
import { dots8 } from '../product-bytes';
import { loadHalves4 } from './halves';
import { packHalves, packIntegers, twiceHigh, twiceLow, zipHigh, zipLow } from './integers';
import { layOutRows, packSixes, packThrees, sixSlice, threeSlice } from './planes';

// Q6_K and Q3_K: signed scales for 16 columns and codes with an offset. A super-block of 256 columns: f16[8] d, then
// eight groups of 32 columns:
//   i8[8] scales of the first 16 columns, i8[8] of the others, and for each four rows the codes, as packSixes or
//   packThrees lays them out.

const HEAD: usize = 16;
const Q6_K_ROWS: usize = 96;
const Q3_K_ROWS: usize = 48;

@inline
function pack(
  type: i32, blockBytes: usize, dOffset: usize, offset: i32, rowsBytes: usize, source: usize, rowBytes: usize,
  columns: i32, target: usize, scratch: usize,
): void {
  const k = <usize>columns;
  layOutRows(type, source, rowBytes, columns, 256, 16, offset, scratch);
  let slices = scratch + 12 * k;
  let scales = scratch + 8 * k;
  for (let block: i32 = 0; block < columns; block += 256) {
    packHalves(source, rowBytes, dOffset, target);
    const halves = target;
    target += HEAD;
    for (let group = 0; group < 8; group++) {
      packIntegers(scales, k >> 2, halves, target);
      packIntegers(scales + 4, k >> 2, halves, target + 8);
      target += 16;
      for (let quad: usize = 0; quad < 2; quad++) {
        const from = slices + quad * 4 * k;
        if (rowsBytes == Q6_K_ROWS) packSixes(from, target);
        else packThrees(from, target);
        target += rowsBytes;
      }
      scales += 8;
      slices += 128;
    }
    source += blockBytes;
  }
}

/** Slice `i` (constant) of four rows of a group. */
@inline
function slice(codes: usize, i: i32, rowsBytes: usize): v128 {
  return rowsBytes == Q6_K_ROWS ? sixSlice(codes, i) : threeSlice(codes, i);
}

/** Sixteen columns of four rows times a token's and the scales. */
@inline
function scaled16(
  codes: usize, first: i32, x: usize, scales: v128, rowsBytes: usize,
): v128 {
  const a = dots8(slice(codes, first, rowsBytes), slice(codes, first + 1, rowsBytes), x);
  const b = dots8(slice(codes, first + 2, rowsBytes), slice(codes, first + 3, rowsBytes), x + 8);
  // Two products of pairs fit 16 bits with codes below 64.
  if (rowsBytes == Q3_K_ROWS) return i32x4.dot_i16x8_s(i16x8.add(a, b), scales);
  return i32x4.add(i32x4.dot_i16x8_s(a, scales), i32x4.dot_i16x8_s(b, scales));
}

/**
 * A group of four rows times a token and the scales, as floats.
 * @param both (scale of the first 16 columns, scale of the others) of each row
 */
@inline
function group4(
  codes: usize, x: usize, first: v128, second: v128, both: v128, rowsBytes: usize,
): v128 {
  const sum = i32x4.add(
    scaled16(codes, 0, x, first, rowsBytes),
    scaled16(codes, 4, x + 16, second, rowsBytes),
  );
  // The offset's part: it times the scales' products with the sums of the activations' codes.
  const offset = i32x4.dot_i16x8_s(both, v128.load_splat<i32>(x, 50));
  return f32x4.convert_i32x4_s(i32x4.sub(sum, i32x4.shl(offset, rowsBytes == Q6_K_ROWS ? 5 : 2)));
}

@inline
function times(
  panel: usize, columns: i32, rowsBytes: usize, x: usize, xStride: usize, sums: usize,
): void {
  const block: usize = 8 * (16 + 2 * rowsBytes);
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (; columns > 0; columns -= 256) {
    const halves = panel;
    let sum0 = f32x4.splat(0);
    let sum1 = sum0;
    panel += HEAD;
    for (const end = panel + block; panel < end; panel += 16 + 2 * rowsBytes) {
      const a = v128.load_ext<i8>(panel);
      const b = v128.load_ext<i8>(panel, 8);
      const xScale = v128.load_splat<f32>(x, 32);
      const codes = panel + 16;
      sum0 = madd(
        group4(codes, x, twiceLow(a), twiceLow(b), zipLow(a, b), rowsBytes), xScale, sum0);
      sum1 = madd(
        group4(codes + rowsBytes, x, twiceHigh(a), twiceHigh(b), zipHigh(a, b), rowsBytes), xScale, sum1);
      x += xStride;
    }
    total0 = madd(sum0, loadHalves4(halves), total0);
    total1 = madd(sum1, loadHalves4(halves + 8), total1);
  }
  v128.store(sums, total0);
  v128.store(sums, total1, 16);
}

/** Scales of 16 columns of eight rows, `integers` i8[8], and the minima that make up for the offset. */
@inline
function storeScales(
  integers: usize, d0: v128, d1: v128, offset: v128, scales: usize, mins: usize, next: usize,
): void {
  const s = v128.load_ext<i8>(integers);
  const s0 = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(s)), d0);
  const s1 = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(s)), d1);
  v128.store(scales, s0);
  v128.store(scales + next, s1);
  v128.store(mins, f32x4.mul(s0, offset));
  v128.store(mins + next, f32x4.mul(s1, offset));
}

/** To the panels of the products with many tokens. */
@inline
function unpackRows(
  panel: usize, columns: i32, rowsBytes: usize, codes: usize, scales: usize, mins: usize,
): void {
  const k = <usize>columns;
  const next = k;
  const offset = f32x4.splat(rowsBytes == Q6_K_ROWS ? 32 : 4);
  for (let block: i32 = 0; block < columns; block += 256) {
    const d0 = loadHalves4(panel);
    const d1 = loadHalves4(panel + 8);
    panel += HEAD;
    for (let group = 0; group < 8; group++) {
      storeScales(panel, d0, d1, offset, scales, mins, next);
      storeScales(panel + 8, d0, d1, offset, scales + 16, mins + 16, next);
      panel += 16;
      for (let quad: usize = 0; quad < 2; quad++) {
        const to = codes + quad * 4 * k;
        v128.store(to, slice(panel, 0, rowsBytes));
        v128.store(to, slice(panel, 1, rowsBytes), 16);
        v128.store(to, slice(panel, 2, rowsBytes), 32);
        v128.store(to, slice(panel, 3, rowsBytes), 48);
        v128.store(to, slice(panel, 4, rowsBytes), 64);
        v128.store(to, slice(panel, 5, rowsBytes), 80);
        v128.store(to, slice(panel, 6, rowsBytes), 96);
        v128.store(to, slice(panel, 7, rowsBytes), 112);
        panel += rowsBytes;
      }
      scales += 32;
      mins += 32;
      codes += 128;
    }
  }
}

export function packQ6_K(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(14, 210, 208, 32, Q6_K_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ6_K(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q6_K_ROWS, x, xStride, sums);
}

export function unpackQ6_K(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, Q6_K_ROWS, codes, scales, mins);
}

export function packQ3_K(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(11, 110, 108, 4, Q3_K_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ3_K(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q3_K_ROWS, x, xStride, sums);
}

export function unpackQ3_K(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, Q3_K_ROWS, codes, scales, mins);
}
