import { madd, nmadd } from '../math';
import { dots16 } from '../product-bytes';
import { loadHalves4 } from './halves';
import { floatsHigh, floatsLow, packHalves, packIntegers, twiceHigh, twiceLow } from './integers';
import { fiveSlice, layOutRows, nibbleSlice, packFives, packNibbles } from './planes';

// Q4_K and Q5_K. A super-block of 256 columns: f16[8] d, f16[8] dmin, then eight groups of 32 columns:
//   u8[8] scales, u8[8] minima, and for each four rows the codes, as packNibbles or packFives lays them out.

const HEAD: usize = 32;
const Q4_K_ROWS: usize = 64;
const Q5_K_ROWS: usize = 80;

@inline
function pack(
  type: i32, blockBytes: usize, rowsBytes: usize, source: usize, rowBytes: usize, columns: i32, target: usize,
  scratch: usize,
): void {
  const k = <usize>columns;
  layOutRows(type, source, rowBytes, columns, 256, 32, 0, scratch);
  let slices = scratch + 12 * k;
  let scales = scratch + 8 * k;
  for (let block: i32 = 0; block < columns; block += 256) {
    packHalves(source, rowBytes, 0, target);
    packHalves(source, rowBytes, 2, target + 16);
    const halves = target;
    target += HEAD;
    for (let group = 0; group < 8; group++) {
      packIntegers(scales, k >> 3, halves, target);
      packIntegers(scales + 2 * k, k >> 3, halves + 16, target + 8);
      target += 16;
      for (let quad: usize = 0; quad < 2; quad++) {
        if (rowsBytes == Q4_K_ROWS) packNibbles(slices + quad * 4 * k, target);
        else packFives(slices + quad * 4 * k, target);
        target += rowsBytes;
      }
      scales += 4;
      slices += 128;
    }
    source += blockBytes;
  }
}

/** Slice `i` (constant) of four rows of a group. */
@inline
function slice(codes: usize, i: i32, rowsBytes: usize): v128 {
  return rowsBytes == Q4_K_ROWS ? nibbleSlice(codes, i) : fiveSlice(codes, i);
}

/** Four slices times a token: 16-bit sums, two a row. */
@inline
function sumFour(
  codes: usize, first: i32, x: usize, rowsBytes: usize,
): v128 {
  return dots16(
    slice(codes, first, rowsBytes), slice(codes, first + 1, rowsBytes), slice(codes, first + 2, rowsBytes),
    slice(codes, first + 3, rowsBytes), x);
}

/** A group of four rows times a token and the rows' scales, as floats. */
@inline
function group4(codes: usize, x: usize, scales: v128, rowsBytes: usize): v128 {
  const a = sumFour(codes, 0, x, rowsBytes);
  const b = sumFour(codes, 4, x + 16, rowsBytes);
  // Eight products of pairs fit 16 bits with codes below 16, four with codes below 32.
  if (rowsBytes == Q4_K_ROWS) return f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(i16x8.add(a, b), scales));
  return f32x4.convert_i32x4_s(i32x4.add(i32x4.dot_i16x8_s(a, scales), i32x4.dot_i16x8_s(b, scales)));
}

@inline
function times(panel: usize, columns: i32, rowsBytes: usize, x: usize, xStride: usize, sums: usize): void {
  const block: usize = 8 * (16 + 2 * rowsBytes);
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (; columns > 0; columns -= 256) {
    const halves = panel;
    let scaled0 = f32x4.splat(0);
    let scaled1 = scaled0, minima0 = scaled0, minima1 = scaled0;
    panel += HEAD;
    for (const end = panel + block; panel < end; panel += 16 + 2 * rowsBytes) {
      const scales = v128.load_ext<u8>(panel);
      const xScale = v128.load_splat<f32>(x, 32);
      scaled0 = madd(group4(panel + 16, x, twiceLow(scales), rowsBytes), xScale, scaled0);
      scaled1 = madd(group4(panel + 16 + rowsBytes, x, twiceHigh(scales), rowsBytes), xScale, scaled1);
      const minima = v128.load_ext<u8>(panel, 8);
      const xSum = v128.load_splat<f32>(x, 36);
      minima0 = madd(floatsLow(minima), xSum, minima0);
      minima1 = madd(floatsHigh(minima), xSum, minima1);
      x += xStride;
    }
    total0 = madd(scaled0, loadHalves4(halves), total0);
    total0 = nmadd(minima0, loadHalves4(halves + 16), total0);
    total1 = madd(scaled1, loadHalves4(halves + 8), total1);
    total1 = nmadd(minima1, loadHalves4(halves + 24), total1);
  }
  v128.store(sums, total0);
  v128.store(sums, total1, 16);
}

/** To the panels of the products with many tokens. */
@inline
function unpackRows(
  panel: usize, columns: i32, rowsBytes: usize, codes: usize, scales: usize, mins: usize,
): void {
  const k = <usize>columns;
  const next = k >> 5 << 4;
  for (let block: i32 = 0; block < columns; block += 256) {
    const d0 = loadHalves4(panel);
    const d1 = loadHalves4(panel + 8);
    const m0 = loadHalves4(panel + 16);
    const m1 = loadHalves4(panel + 24);
    panel += HEAD;
    for (let group = 0; group < 8; group++) {
      const s = v128.load_ext<u8>(panel);
      v128.store(scales, f32x4.mul(floatsLow(s), d0));
      v128.store(scales + next, f32x4.mul(floatsHigh(s), d1));
      const m = v128.load_ext<u8>(panel, 8);
      v128.store(mins, f32x4.mul(floatsLow(m), m0));
      v128.store(mins + next, f32x4.mul(floatsHigh(m), m1));
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
      scales += 16;
      mins += 16;
      codes += 128;
    }
  }
}

export function packQ4_K(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(12, 144, Q4_K_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ4_K(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q4_K_ROWS, x, xStride, sums);
}

export function unpackQ4_K(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, Q4_K_ROWS, codes, scales, mins);
}

export function packQ5_K(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(13, 176, Q5_K_ROWS, source, rowBytes, columns, target, scratch);
}

export function timesQ5_K(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q5_K_ROWS, x, xStride, sums);
}

export function unpackQ5_K(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackRows(panel, columns, Q5_K_ROWS, codes, scales, mins);
}
