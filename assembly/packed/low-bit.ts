import { madd } from '../math';
import { dots16 } from '../product-bytes';
import { bytesOf, wordsOf } from './constants';
import { loadHalves4 } from './halves';
import { packHalves } from './integers';
import { bits, layOutRows } from './planes';

// Codes of one or two bits under one scale a block: Q1_0, Q2_0, TQ1_0 and TQ2_0. A block of a panel is f16[8] scales
// and then, for each 32 columns, the planes of both quads of rows: two vectors of pairs, or in Q1_0 one of bits.
// weight = d · (code − 1); the codes of Q1_0 are 0 and 2. The sums of 32 columns fit 16 bits.

/** Columns of a block. */
const Q1_COLUMNS: usize = 128;
const Q2_COLUMNS: usize = 64;
const TERNARY_COLUMNS: usize = 256;

const PAIRS: usize = 32;
const BITS: usize = 16;

/** Eight slices to their planes: slice i in pair i of the bytes, beginning anew after four, or in bit i. */
function packPlanes(slices: usize, quadBytes: usize, target: usize): void {
  const count = quadBytes == PAIRS ? 4 : 8;
  for (const end = target + quadBytes; target < end; target += 16) {
    let packed = i8x16.splat(0);
    for (let i = 0; i < count; i++) {
      const codes = v128.load(slices);
      packed = v128.or(
        packed,
        quadBytes == PAIRS ? i16x8.shl(codes, 2 * i) : i16x8.shl(i16x8.shr_u(codes, 1), i),
      );
      slices += 16;
    }
    v128.store(target, packed);
  }
}

@inline
function pack(
  type: i32, size: usize, blockColumns: usize, quadBytes: usize, source: usize, rowBytes: usize, columns: i32,
  target: usize, scratch: usize, scaleAt: usize,
): void {
  const k = <usize>columns;
  layOutRows(type, source, rowBytes, columns, <i32>blockColumns, 32, 1, scratch);
  let slices = scratch + 12 * k;
  for (const end = slices + 4 * k; slices < end; ) {
    packHalves(source, rowBytes, scaleAt, target);
    target += 16;
    for (const next = slices + 4 * blockColumns; slices < next; slices += 128) {
      for (let quad: usize = 0; quad < 2; quad++) {
        packPlanes(slices + quad * 4 * k, quadBytes, target);
        target += quadBytes;
      }
    }
    source += size;
  }
}

/** Slice `i` (constant) of a quad's 32 columns; `mask` keeps a code's bits. */
@inline
function slice(planes: usize, i: i32, quadBytes: usize, mask: v128): v128 {
  if (quadBytes == BITS) return bits(v128.load(planes), i - 1, mask);
  return bits(v128.load(planes + <usize>(i >> 2) * 16), (i & 3) * 2, mask);
}

@inline
function maskOf(quadBytes: usize): v128 {
  return bytesOf(quadBytes == PAIRS ? 3 : 2);
}

/** 32 columns of a quad times a token. */
@inline
function sum32(planes: usize, x: usize, quadBytes: usize, mask: v128): v128 {
  const low = dots16(
    slice(planes, 0, quadBytes, mask), slice(planes, 1, quadBytes, mask), slice(planes, 2, quadBytes, mask),
    slice(planes, 3, quadBytes, mask), x);
  const high = dots16(
    slice(planes, 4, quadBytes, mask), slice(planes, 5, quadBytes, mask), slice(planes, 6, quadBytes, mask),
    slice(planes, 7, quadBytes, mask), x + 16);
  return i32x4.dot_i16x8_s(i16x8.add(low, high), wordsOf(1));
}

@inline
function times(
  panel: usize, columns: i32, blockColumns: usize, quadBytes: usize, x: usize, xStride: usize, sums: usize,
): void {
  const mask = maskOf(quadBytes);
  const minusOne = i16x8.splat(-1);
  let total0 = f32x4.splat(0);
  let total1 = total0;
  for (let left = <usize>columns; left > 0; left -= blockColumns) {
    const halves = panel;
    let sum0 = f32x4.splat(0);
    let sum1 = sum0;
    panel += 16;
    for (const end = panel + (blockColumns >> 5) * 2 * quadBytes; panel < end; panel += 2 * quadBytes) {
      const scale = v128.load_splat<f32>(x, 32);
      // The sums of the first and of the last 16 codes are side by side.
      const offset = i32x4.dot_i16x8_s(minusOne, v128.load_splat<u32>(x, 50));
      const i0 = i32x4.add(sum32(panel, x, quadBytes, mask), offset);
      const i1 = i32x4.add(sum32(panel + quadBytes, x, quadBytes, mask), offset);
      sum0 = madd(f32x4.convert_i32x4_s(i0), scale, sum0);
      sum1 = madd(f32x4.convert_i32x4_s(i1), scale, sum1);
      x += xStride;
    }
    total0 = madd(sum0, loadHalves4(halves), total0);
    total1 = madd(sum1, loadHalves4(halves + 8), total1);
  }
  v128.store(sums, total0);
  v128.store(sums, total1, 16);
}

@inline
function unpackQuad(
  planes: usize, quadBytes: usize, mask: v128, d: v128, codes: usize, scales: usize, mins: usize,
): void {
  v128.store(codes, slice(planes, 0, quadBytes, mask));
  v128.store(codes, slice(planes, 1, quadBytes, mask), 16);
  v128.store(codes, slice(planes, 2, quadBytes, mask), 32);
  v128.store(codes, slice(planes, 3, quadBytes, mask), 48);
  v128.store(codes, slice(planes, 4, quadBytes, mask), 64);
  v128.store(codes, slice(planes, 5, quadBytes, mask), 80);
  v128.store(codes, slice(planes, 6, quadBytes, mask), 96);
  v128.store(codes, slice(planes, 7, quadBytes, mask), 112);
  v128.store(scales, d);
  v128.store(mins, d);
}

@inline
function unpack(
  panel: usize, columns: i32, blockColumns: usize, quadBytes: usize, codes: usize, scales: usize, mins: usize,
): void {
  const k = <usize>columns;
  const next = k >> 5 << 4;
  const mask = maskOf(quadBytes);
  for (const end = codes + 4 * k; codes < end; ) {
    const low = loadHalves4(panel);
    const high = loadHalves4(panel + 8);
    panel += 16;
    for (const block = codes + 4 * blockColumns; codes < block; codes += 128) {
      unpackQuad(panel, quadBytes, mask, low, codes, scales, mins);
      unpackQuad(panel + quadBytes, quadBytes, mask, high, codes + 4 * k, scales + next, mins + next);
      panel += 2 * quadBytes;
      scales += 16;
      mins += 16;
    }
  }
}

export function packQ1_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(41, 18, Q1_COLUMNS, BITS, source, rowBytes, columns, target, scratch, 0);
}

export function timesQ1_0(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q1_COLUMNS, BITS, x, xStride, sums);
}

export function unpackQ1_0(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, Q1_COLUMNS, BITS, codes, scales, mins);
}

export function packQ2_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(42, 18, Q2_COLUMNS, PAIRS, source, rowBytes, columns, target, scratch, 0);
}

export function timesQ2_0(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, Q2_COLUMNS, PAIRS, x, xStride, sums);
}

export function unpackQ2_0(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, Q2_COLUMNS, PAIRS, codes, scales, mins);
}

export function packTQ1_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(34, 54, TERNARY_COLUMNS, PAIRS, source, rowBytes, columns, target, scratch, 52);
}

export function packTQ2_0(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  pack(35, 66, TERNARY_COLUMNS, PAIRS, source, rowBytes, columns, target, scratch, 64);
}

/** Of both ternary types. */
export function timesTernary(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, TERNARY_COLUMNS, PAIRS, x, xStride, sums);
}

export function unpackTernary(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, TERNARY_COLUMNS, PAIRS, codes, scales, mins);
}
