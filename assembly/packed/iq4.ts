import { addDots16, negativeShift, shifted, shiftSums } from '../dot-bytes';
import { madd } from '../math';
import { pairSums } from '../product-bytes';
import { values } from '../unpack/iq4';
import { highNibbles, lookUp, lowNibbles } from '../unpack/vectors';
import { bytesOf } from './constants';
import { QUAD_SIGNED, spread } from './grids';
import { loadHalves4 } from './halves';
import { bits } from './planes';

// IQ4_NL and IQ4_XS (ggml's layouts: src/quant/iq4.ts). Per 32 columns, for each quad of rows, u8[4][4][4]: 4-bit codes
// of four columns of four rows in the low halves of 16 bytes, of the next four columns in the high halves.
//
//   IQ4_NL  per 32 columns the codes of both quads, then f16[8] scales
//   IQ4_XS  per 256 columns i8[8][8] scales of groups, then f16[8] super-scales, then the codes of eight groups
//
// The values of the codes span 240, too much for one product of bytes. So they are 16 · code + rest − 139,
// rests being 0 … 26: of products with codes eight can be added in 16 bits, of those with rests four. With many tokens
// they are multiplied by both one after the other. The build `dot` multiplies the values themselves (dot-bytes.ts).

const GROUP: usize = 128;
const XS_SCALES: usize = 80;
const XS_BLOCK: usize = XS_SCALES + 8 * GROUP;
const NL_BLOCK: usize = GROUP + 16;
const OFFSET: i32 = 139;

/** What the values have more than 16 · code − 139. */
@inline
function rests(): v128 {
  return i8x16(12, 19, 24, 26, 26, 24, 21, 17, 12, 8, 4, 1, 0, 0, 4, 12);
}

/** Four columns' codes of a quad's 32: vector `i` (constant) of eight. */
@inline
export function codesOf(quad: usize, i: i32, low: v128): v128 {
  return bits(v128.load(quad + <usize>(i >> 1) * 16), (i & 1) * 4, low);
}

/** Eight bytes of a row's codes: those in the low halves, of eight columns, to one vector, the others to another. */
export function packNibbles8(from: usize, low: usize, high: usize): void {
  const first = load<u32>(from);
  const next = load<u32>(from, 4);
  store<u32>(low, (first & 0x0f0f0f0f) | ((next & 0x0f0f0f0f) << 4));
  store<u32>(high, ((first >> 4) & 0x0f0f0f0f) | (next & 0xf0f0f0f0));
}

/** A row's 16 bytes of codes, with column j in the low and j + 16 in the high half of byte j, to its quad's vectors. */
function packCodes(from: usize, row: usize, target: usize): void {
  const to = target + (row >> 2) * 64 + (row & 3) * 4;
  packNibbles8(from, to, to + 32);
  packNibbles8(from + 8, to + 16, to + 48);
}

export function packIQ4_NL(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  for (let group = columns >> 5; group > 0; group--) {
    for (let row: usize = 0; row < 8; row++) {
      const from = source + row * rowBytes;
      packCodes(from + 2, row, target);
      store<u16>(target + 2 * row, load<u16>(from), 128);
    }
    source += 18;
    target += NL_BLOCK;
  }
}

export function packIQ4_XS(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  for (let block = columns >> 8; block > 0; block--) {
    for (let row: usize = 0; row < 8; row++) {
      const from = source + row * rowBytes;
      const low = load<u32>(from, 4);
      const high = <u32>load<u16>(from, 2);
      for (let group: usize = 0; group < 8; group++) {
        packCodes(from + 8 + 16 * group, row, target + XS_SCALES + group * GROUP);
        const s = ((low >> (4 * <u32>group)) & 15) | (((high >> (2 * <u32>group)) & 3) << 4);
        store<u8>(target + 8 * group + row, s - 32);
      }
      store<u16>(target + 2 * row, load<u16>(from), 64);
    }
    source += 136;
    target += XS_BLOCK;
  }
}

/** The first four columns of a token's 16, for four rows. */
@inline
function column0(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 0, 0, 0, 0);
}

@inline
function column1(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 1, 1, 1, 1);
}

@inline
function column2(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 2, 2, 2, 2);
}

@inline
function column3(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 3, 3, 3, 3);
}

/** Products of eight columns with what the codes stand for: themselves or entries of a table. */
@inline
function both(x0: v128, x1: v128, w0: v128, w1: v128): v128 {
  return i16x8.add(pairSums(x0, w0), pairSums(x1, w1));
}

/**
 * Sums of 32 columns of a quad, those of a row in its 32-bit lane, times `k`, which is in both halves of the lane, as
 * 16 `k` is in `k16`; without the offset.
 */
@inline
function quadSums(codes: usize, x0: v128, x1: v128, k: v128, k16: v128, table: v128): v128 {
  let v = v128.load(codes);
  let l = lowNibbles(v);
  let h = highNibbles(v);
  let c = both(column0(x0), column1(x0), l, h);
  let r = both(column0(x0), column1(x0), lookUp(table, l), lookUp(table, h));
  v = v128.load(codes, 16);
  l = lowNibbles(v);
  h = highNibbles(v);
  c = i16x8.add(c, both(column2(x0), column3(x0), l, h));
  r = i16x8.add(r, both(column2(x0), column3(x0), lookUp(table, l), lookUp(table, h)));
  const sums = i32x4.dot_i16x8_s(r, k);
  v = v128.load(codes, 32);
  l = lowNibbles(v);
  h = highNibbles(v);
  c = i16x8.add(c, both(column0(x1), column1(x1), l, h));
  r = both(column0(x1), column1(x1), lookUp(table, l), lookUp(table, h));
  v = v128.load(codes, 48);
  l = lowNibbles(v);
  h = highNibbles(v);
  c = i16x8.add(c, both(column2(x1), column3(x1), l, h));
  r = i16x8.add(r, both(column2(x1), column3(x1), lookUp(table, l), lookUp(table, h)));
  return i32x4.add(i32x4.add(sums, i32x4.dot_i16x8_s(r, k)), i32x4.dot_i16x8_s(c, k16));
}

/** Adds the products of 32 columns of a quad with a token's, of a row in its lane. */
@inline
function addQuadDots(sums: v128, codes: usize, x: usize, table: v128): v128 {
  const low = bytesOf(15);
  sums = addDots16(
    sums, lookUp(table, codesOf(codes, 0, low)), lookUp(table, codesOf(codes, 1, low)),
    lookUp(table, codesOf(codes, 2, low)), lookUp(table, codesOf(codes, 3, low)), x);
  return addDots16(
    sums, lookUp(table, codesOf(codes, 4, low)), lookUp(table, codesOf(codes, 5, low)),
    lookUp(table, codesOf(codes, 6, low)), lookUp(table, codesOf(codes, 7, low)), x + 16);
}

function timesValuesNL(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const table = shifted(values());
  const shift = negativeShift();
  let a = f32x4.splat(0);
  let b = a;
  for (const end = panel + (<usize>columns >> 5) * NL_BLOCK; panel < end; panel += NL_BLOCK) {
    const start = shiftSums(shift, x);
    const xs = v128.load_splat<f32>(x, 32);
    const i = addQuadDots(start, panel, x, table);
    a = madd(f32x4.mul(f32x4.convert_i32x4_s(i), loadHalves4(panel + 128)), xs, a);
    const j = addQuadDots(start, panel + 64, x, table);
    b = madd(f32x4.mul(f32x4.convert_i32x4_s(j), loadHalves4(panel + 136)), xs, b);
    x += xStride;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}

function timesValuesXS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const table = shifted(values());
  const shift = negativeShift();
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (let block = columns >> 8; block > 0; block--) {
    let a = f32x4.splat(0);
    let b = a;
    let scale = panel;
    const d = panel + 64;
    panel += XS_SCALES;
    for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
      const start = shiftSums(shift, x);
      const xs = v128.load_splat<f32>(x, 32);
      const i = addQuadDots(start, panel, x, table);
      a = madd(f32x4.mul(f32x4.convert_i32x4_s(i), floats4(scale)), xs, a);
      const j = addQuadDots(start, panel + 64, x, table);
      b = madd(f32x4.mul(f32x4.convert_i32x4_s(j), floats4(scale + 4)), xs, b);
      scale += 8;
      x += xStride;
    }
    total0 = madd(a, loadHalves4(d), total0);
    total1 = madd(b, loadHalves4(d + 8), total1);
  }
  v128.store(sums, total0);
  v128.store(sums, total1, 16);
}

export function timesIQ4_NL(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  if (ACCUMULATING_DOT) return timesValuesNL(panel, columns, x, xStride, sums);
  const table = rests();
  const one = i16x8.splat(1);
  const sixteen = i16x8.splat(16);
  const offset = i16x8.splat(-<i16>OFFSET);
  let a = f32x4.splat(0);
  let b = a;
  for (const end = panel + (<usize>columns >> 5) * NL_BLOCK; panel < end; panel += NL_BLOCK) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    const xs = v128.load_splat<f32>(x, 32);
    // The sums of the first and of the last 16 codes are side by side.
    const xSums = i32x4.dot_i16x8_s(offset, v128.load_splat<u32>(x, 50));
    const i = i32x4.add(quadSums(panel, x0, x1, one, sixteen, table), xSums);
    a = madd(f32x4.mul(f32x4.convert_i32x4_s(i), loadHalves4(panel + 128)), xs, a);
    const j = i32x4.add(quadSums(panel + 64, x0, x1, one, sixteen, table), xSums);
    b = madd(f32x4.mul(f32x4.convert_i32x4_s(j), loadHalves4(panel + 136)), xs, b);
    x += xStride;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}

export function timesIQ4_XS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  if (ACCUMULATING_DOT) return timesValuesXS(panel, columns, x, xStride, sums);
  const table = rests();
  const rows = spread(QUAD_SIGNED);
  const offset = i16x8.splat(-<i16>OFFSET);
  v128.store(sums, f32x4.splat(0));
  v128.store(sums, f32x4.splat(0), 16);
  for (let block = columns >> 8; block > 0; block--) {
    let a = f32x4.splat(0);
    let b = a;
    let scale = panel;
    const d = panel + 64;
    panel += XS_SCALES;
    for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
      const x0 = v128.load(x);
      const x1 = v128.load(x, 16);
      const xs = v128.load_splat<f32>(x, 32);
      const xSums = v128.load_splat<u32>(x, 50);
      let k256 = lookUp(v128.load_splat<u32>(scale), rows);
      let k = i16x8.shr_s(k256, 8);
      let i = quadSums(panel, x0, x1, k, i16x8.shr_s(k256, 4), table);
      i = i32x4.add(i, i32x4.dot_i16x8_s(i16x8.mul(k, offset), xSums));
      a = madd(f32x4.convert_i32x4_s(i), xs, a);
      k256 = lookUp(v128.load_splat<u32>(scale, 4), rows);
      k = i16x8.shr_s(k256, 8);
      i = quadSums(panel + 64, x0, x1, k, i16x8.shr_s(k256, 4), table);
      i = i32x4.add(i, i32x4.dot_i16x8_s(i16x8.mul(k, offset), xSums));
      b = madd(f32x4.convert_i32x4_s(i), xs, b);
      scale += 8;
      x += xStride;
    }
    v128.store(sums, madd(a, loadHalves4(d), v128.load(sums)));
    v128.store(sums, madd(b, loadHalves4(d + 8), v128.load(sums, 16)), 16);
  }
}

/** A quad's 32 columns: the codes, or what a table has for them. */
@inline
function unpackQuad(panel: usize, rest: bool, table: v128, target: usize): void {
  for (const end = panel + 64; panel < end; panel += 16) {
    const v = v128.load(panel);
    const l = lowNibbles(v);
    const h = highNibbles(v);
    v128.store(target, rest ? lookUp(table, l) : l);
    v128.store(target, rest ? lookUp(table, h) : h, 16);
    target += 32;
  }
}

/** Scales of a group of eight rows, for codes 16 times as much, for rests with minima. */
@inline
function storeScales(low: v128, high: v128, rest: bool, next: usize, scales: usize, mins: usize): void {
  const factor = f32x4.splat(rest ? 1 : 16);
  const offset = f32x4.splat(rest ? <f32>OFFSET : 0);
  v128.store(scales, f32x4.mul(low, factor));
  v128.store(scales + next, f32x4.mul(high, factor));
  v128.store(mins, f32x4.mul(low, offset));
  v128.store(mins + next, f32x4.mul(high, offset));
}

/** Four signed bytes as floats. */
@inline
function floats4(bytes: usize): v128 {
  const words = i16x8.extend_low_i8x16_s(v128.load_zero<u32>(bytes));
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
}

@inline
function unpackNL(panel: usize, columns: i32, rest: bool, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const table = ACCUMULATING_DOT ? shifted(values()) : rests();
  for (const end = codes + 4 * k; codes < end; codes += 128) {
    unpackQuad(panel, rest, table, codes);
    unpackQuad(panel + 64, rest, table, codes + 4 * k);
    storeScales(loadHalves4(panel + 128), loadHalves4(panel + 136), rest, k >> 1, scales, mins);
    panel += NL_BLOCK;
    scales += 16;
    mins += 16;
  }
}

@inline
function unpackXS(panel: usize, columns: i32, rest: bool, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const table = ACCUMULATING_DOT ? shifted(values()) : rests();
  for (const end = codes + 4 * k; codes < end; ) {
    let scale = panel;
    const low = loadHalves4(panel + 64);
    const high = loadHalves4(panel + 72);
    panel += XS_SCALES;
    for (const block = panel + 8 * GROUP; panel < block; panel += GROUP) {
      unpackQuad(panel, rest, table, codes);
      unpackQuad(panel + 64, rest, table, codes + 4 * k);
      const a = f32x4.mul(floats4(scale), low);
      const b = f32x4.mul(floats4(scale + 4), high);
      storeScales(a, b, rest, k >> 1, scales, mins);
      codes += 128;
      scales += 16;
      mins += 16;
      scale += 8;
    }
  }
}

// The unpacked panels of the values, or those of the codes, with 16 times the scales, and then those of the rests, with
// the minima.

export function unpackIQ4_NL(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackNL(panel, columns, ACCUMULATING_DOT != 0, codes, scales, mins);
}

export function unpackIQ4_XS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackXS(panel, columns, ACCUMULATING_DOT != 0, codes, scales, mins);
}

export const REST_STEPS: i32 = 26;

/** What is missing from the panels of unpackIQ4_XS, or of unpackIQ4_NL, in the scratch of a product. */
export function unpackRests(xs: bool, panel: usize, columns: i32, scratch: usize): void {
  const k = <usize>columns;
  const codes = scratch + 12 * k;
  const scales = scratch + 20 * k;
  const mins = scratch + 22 * k;
  if (xs) unpackXS(panel, columns, true, codes, scales, mins);
  else unpackNL(panel, columns, true, codes, scales, mins);
}
