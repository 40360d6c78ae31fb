import { madd, nmadd } from '../math';
import { dots16 } from '../product-bytes';
import { wordsOf } from './constants';
import { loadHalves4 } from './halves';
import { floatsHigh, floatsLow, packHalves, twiceHigh, twiceLow, zipHigh, zipLow } from './integers';
import { layOutRows, packPairs, pairSlice } from './planes';

// Q2_K. A super-block of 256 columns: f16[8] d, f16[8] dmin, then eight groups of 32 columns:
//   u8[8] of the first 16 columns, u8[8] of the others: the scale in the lower four bits, the minimum in the upper;
//   and for each four rows two vectors of codes in pairs of bits.

const BLOCK: usize = 84;
const HEAD: usize = 32;
const GROUP: usize = 80;

export function packQ2_K(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  const k = <usize>columns;
  layOutRows(10, source, rowBytes, columns, 256, 16, 0, scratch);
  let slices = scratch + 12 * k;
  for (let block: i32 = 0; block < columns; block += 256) {
    packHalves(source, rowBytes, 80, target);
    packHalves(source, rowBytes, 82, target + 16);
    target += HEAD;
    for (let group: usize = 0; group < 8; group++) {
      for (let row: usize = 0; row < 8; row++) {
        const scales = load<u16>(source + row * rowBytes + 2 * group);
        store<u8>(target + row, <u8>scales);
        store<u8>(target + row, <u8>(scales >> 8), 8);
      }
      packPairs(slices, target + 16);
      packPairs(slices + 4 * k, target + 48);
      target += GROUP;
      slices += 128;
    }
    source += BLOCK;
  }
}

/** Sixteen columns of four rows times a token's: 16-bit sums, two a row. */
@inline
function sum16(codes: usize, first: i32, x: usize): v128 {
  return dots16(
    pairSlice(codes, first), pairSlice(codes, first + 1), pairSlice(codes, first + 2), pairSlice(codes, first + 3), x);
}

/** A group of four rows times a token and the scales, as floats. */
@inline
function group4(codes: usize, x: usize, first: v128, second: v128): v128 {
  return f32x4.convert_i32x4_s(
    i32x4.add(
      i32x4.dot_i16x8_s(sum16(codes, 0, x), first),
      i32x4.dot_i16x8_s(sum16(codes, 4, x + 16), second),
    ),
  );
}

export function timesQ2_K(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const low = wordsOf(15);
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (; columns > 0; columns -= 256) {
    const halves = panel;
    let scaled0 = f32x4.splat(0);
    let scaled1 = scaled0, minima0 = scaled0, minima1 = scaled0;
    panel += HEAD;
    for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
      const first = v128.load_ext<u8>(panel);
      const second = v128.load_ext<u8>(panel, 8);
      const a = v128.and(first, low);
      const b = v128.and(second, low);
      const xScale = v128.load_splat<f32>(x, 32);
      scaled0 = madd(group4(panel + 16, x, twiceLow(a), twiceLow(b)), xScale, scaled0);
      scaled1 = madd(group4(panel + 48, x, twiceHigh(a), twiceHigh(b)), xScale, scaled1);
      // The minima times the sums of the activations' codes in the first 16 columns and in the others.
      const m = i16x8.shr_u(first, 4);
      const n = i16x8.shr_u(second, 4);
      const xSums = v128.load_splat<i32>(x, 50);
      minima0 = madd(f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(zipLow(m, n), xSums)), xScale, minima0);
      minima1 = madd(f32x4.convert_i32x4_s(i32x4.dot_i16x8_s(zipHigh(m, n), xSums)), xScale, minima1);
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

@inline
function storeProducts(words: v128, d0: v128, d1: v128, target: usize, next: usize): void {
  v128.store(target, f32x4.mul(floatsLow(words), d0));
  v128.store(target + next, f32x4.mul(floatsHigh(words), d1));
}

@inline
function storeSlices(codes: usize, target: usize): void {
  v128.store(target, pairSlice(codes, 0));
  v128.store(target, pairSlice(codes, 1), 16);
  v128.store(target, pairSlice(codes, 2), 32);
  v128.store(target, pairSlice(codes, 3), 48);
  v128.store(target, pairSlice(codes, 4), 64);
  v128.store(target, pairSlice(codes, 5), 80);
  v128.store(target, pairSlice(codes, 6), 96);
  v128.store(target, pairSlice(codes, 7), 112);
}

export function unpackQ2_K(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const low = wordsOf(15);
  for (let block: i32 = 0; block < columns; block += 256) {
    const d0 = loadHalves4(panel);
    const d1 = loadHalves4(panel + 8);
    const m0 = loadHalves4(panel + 16);
    const m1 = loadHalves4(panel + 24);
    panel += HEAD;
    for (let group = 0; group < 8; group++) {
      for (let half: usize = 0; half < 16; half += 8) {
        const s = v128.load_ext<u8>(panel + half);
        storeProducts(v128.and(s, low), d0, d1, scales, k);
        storeProducts(i16x8.shr_u(s, 4), m0, m1, mins, k);
        scales += 16;
        mins += 16;
      }
      storeSlices(panel + 16, codes);
      storeSlices(panel + 48, codes + 4 * k);
      panel += GROUP;
      codes += 128;
    }
  }
}
