import { madd, nmadd } from '../math';
import { dots16 } from '../product-bytes';
import { wordsOf } from './constants';
import { loadHalves4 } from './halves';
import { packHalves } from './integers';
import { fiveSlice, layOutRows, nibbleSlice, packFives, packNibbles } from './planes';

// Q4_0, Q4_1, Q5_0 and Q5_1. Per 32 columns: f16[8] scales, in the types with minima f16[8] of those (added, as in the
// file), then for each four rows the codes, as packNibbles or packFives lays them out.

const Q4_ROWS: usize = 64;
const Q5_ROWS: usize = 80;

@inline
function pack(
  type: i32, hasMins: bool, rowsBytes: usize, source: usize, rowBytes: usize, columns: i32, target: usize,
  scratch: usize,
): void {
  const k = <usize>columns;
  layOutRows(type, source, rowBytes, columns, 32, 32, offsetOf(hasMins, rowsBytes), scratch);
  for (let slices = scratch + 12 * k, end = slices + 4 * k; slices < end; slices += 128) {
    packHalves(source, rowBytes, 0, target);
    target += 16;
    if (hasMins) {
      packHalves(source, rowBytes, 2, target);
      target += 16;
    }
    for (let quad: usize = 0; quad < 2; quad++) {
      if (rowsBytes == Q4_ROWS) packNibbles(slices + quad * 4 * k, target);
      else packFives(slices + quad * 4 * k, target);
      target += rowsBytes;
    }
    source += 2 + (hasMins ? 2 : 0) + rowsBytes / 4;
  }
}

/** What makes the codes unsigned. */
@inline
function offsetOf(hasMins: bool, rowsBytes: usize): i32 {
  if (hasMins) return 0;
  return rowsBytes == Q5_ROWS ? 16 : 8;
}

/** Slice `i` (constant) of four rows of a group. */
@inline
function slice(codes: usize, i: i32, rowsBytes: usize): v128 {
  return rowsBytes == Q4_ROWS ? nibbleSlice(codes, i) : fiveSlice(codes, i);
}

@inline
function sumFour(codes: usize, first: i32, x: usize, rowsBytes: usize): v128 {
  return dots16(
    slice(codes, first, rowsBytes), slice(codes, first + 1, rowsBytes), slice(codes, first + 2, rowsBytes),
    slice(codes, first + 3, rowsBytes), x);
}

/** A group of four rows times a token and its scale. */
@inline
function group4(codes: usize, x: usize, rowsBytes: usize): v128 {
  const ones = wordsOf(1);
  const a = sumFour(codes, 0, x, rowsBytes);
  const b = sumFour(codes, 4, x + 16, rowsBytes);
  const sum = rowsBytes == Q4_ROWS
    ? i32x4.dot_i16x8_s(i16x8.add(a, b), ones)
    : i32x4.add(i32x4.dot_i16x8_s(a, ones), i32x4.dot_i16x8_s(b, ones));
  return f32x4.mul(f32x4.convert_i32x4_s(sum), v128.load_splat<f32>(x, 32));
}

@inline
function times(
  panel: usize, columns: i32, hasMins: bool, rowsBytes: usize, x: usize, xStride: usize, sums: usize,
): void {
  const offset = f32x4.splat(<f32>offsetOf(hasMins, rowsBytes));
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (; columns > 0; columns -= 32) {
    const codes = panel + (hasMins ? 32 : 16);
    const xSum = v128.load_splat<f32>(x, 36);
    let sum0 = group4(codes, x, rowsBytes);
    let sum1 = group4(codes + rowsBytes, x, rowsBytes);
    if (hasMins) {
      total0 = madd(loadHalves4(panel + 16), xSum, total0);
      total1 = madd(loadHalves4(panel + 24), xSum, total1);
    } else {
      sum0 = nmadd(offset, xSum, sum0);
      sum1 = nmadd(offset, xSum, sum1);
    }
    total0 = madd(sum0, loadHalves4(panel), total0);
    total1 = madd(sum1, loadHalves4(panel + 8), total1);
    panel = codes + 2 * rowsBytes;
    x += xStride;
  }
  v128.store(sums, total0);
  v128.store(sums, total1, 16);
}

@inline
function storeSlices(codes: usize, target: usize, rowsBytes: usize): void {
  v128.store(target, slice(codes, 0, rowsBytes));
  v128.store(target, slice(codes, 1, rowsBytes), 16);
  v128.store(target, slice(codes, 2, rowsBytes), 32);
  v128.store(target, slice(codes, 3, rowsBytes), 48);
  v128.store(target, slice(codes, 4, rowsBytes), 64);
  v128.store(target, slice(codes, 5, rowsBytes), 80);
  v128.store(target, slice(codes, 6, rowsBytes), 96);
  v128.store(target, slice(codes, 7, rowsBytes), 112);
}

/** To the panels of the products with many tokens. */
@inline
function unpackRows(
  panel: usize, columns: i32, hasMins: bool, rowsBytes: usize, codes: usize, scales: usize, mins: usize,
): void {
  const k = <usize>columns;
  const next = k >> 5 << 4;
  const offset = f32x4.splat(<f32>offsetOf(hasMins, rowsBytes));
  for (; columns > 0; columns -= 32) {
    const d0 = loadHalves4(panel);
    const d1 = loadHalves4(panel + 8);
    v128.store(scales, d0);
    v128.store(scales + next, d1);
    if (hasMins) {
      v128.store(mins, f32x4.neg(loadHalves4(panel + 16)));
      v128.store(mins + next, f32x4.neg(loadHalves4(panel + 24)));
    } else {
      v128.store(mins, f32x4.mul(d0, offset));
      v128.store(mins + next, f32x4.mul(d1, offset));
    }
    panel += hasMins ? 32 : 16;
    storeSlices(panel, codes, rowsBytes);
    storeSlices(panel + rowsBytes, codes + 4 * k, rowsBytes);
    panel += 2 * rowsBytes;
    scales += 16;
    mins += 16;
    codes += 128;
  }
}

export function packQ4_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(2, false, Q4_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ4_0(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, false, Q4_ROWS, x, xStride, sums);
}

export function unpackQ4_0(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, false, Q4_ROWS, codes, scales, mins);
}

export function packQ4_1(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(3, true, Q4_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ4_1(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, true, Q4_ROWS, x, xStride, sums);
}

export function unpackQ4_1(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, true, Q4_ROWS, codes, scales, mins);
}

export function packQ5_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(6, false, Q5_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ5_0(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, false, Q5_ROWS, x, xStride, sums);
}

export function unpackQ5_0(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, false, Q5_ROWS, codes, scales, mins);
}

export function packQ5_1(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(7, true, Q5_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ5_1(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, true, Q5_ROWS, x, xStride, sums);
}

export function unpackQ5_1(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, true, Q5_ROWS, codes, scales, mins);
}
