import { addDots16 } from '../dot-bytes';
import { madd } from '../math';
import { dots16 } from '../product-bytes';
import { E8M0_HALVES, tables, UE4M3_HALVES } from '../unpack/tables';
import { lookUp } from '../unpack/vectors';
import { bytesOf } from './constants';
import { codesOf, packNibbles8 } from './iq4';

// MXFP4 and NVFP4 (ggml's layouts: src/quant/fp4.ts). Per 32 columns, halved scales of groups of 32 or twice of groups
// of 16, bf16[8], which is exact; then the nibbles of both quads. Codes stand for twice their values plus 12, 0 … 24:
// four products of bytes can be added in 16 bits.

const MX_GROUP: usize = 144;
const NV_GROUP: usize = 160;
const OFFSET: i32 = 12;

@inline
function values(): v128 {
  return i8x16(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
}

export function packMXFP4(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  for (let group = columns >> 5; group > 0; group--) {
    for (let row: usize = 0; row < 8; row++) {
      const from = source + row * rowBytes;
      store<u16>(target + 2 * row, load<u32>(tables + E8M0_HALVES + (<usize>load<u8>(from) << 2)) >> 16);
      const to = target + 16 + (row >> 2) * 64 + (row & 3) * 4;
      packNibbles8(from + 1, to, to + 32);
      packNibbles8(from + 9, to + 16, to + 48);
    }
    source += 17;
    target += MX_GROUP;
  }
}

export function packNVFP4(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  for (let group = 0; group < columns >> 5; group++) {
    const pair = <usize>(group & 1);
    for (let row: usize = 0; row < 8; row++) {
      const from = source + row * rowBytes;
      for (let half: usize = 0; half < 2; half++) {
        const scale = load<u8>(from + 2 * pair + half);
        const halved = load<u32>(tables + UE4M3_HALVES + (<usize>scale << 2));
        store<u16>(target + 16 * half + 2 * row, halved >> 16);
        const to = target + 32 + (row >> 2) * 64 + (row & 3) * 4 + 32 * half;
        packNibbles8(from + 4 + 16 * pair + 8 * half, to, to + 16);
      }
    }
    if (pair == 1) source += 36;
    target += NV_GROUP;
  }
}

/** Four bfloat16 as floats. */
@inline
function loadScales(address: usize): v128 {
  return v128.shuffle<u16>(i32x4.splat(0), v128.load_zero<u64>(address), 0, 8, 1, 9, 2, 10, 3, 11);
}

/** Sixteen columns of a quad, from slice `i`, times a token, to a sum in the 32-bit lane of each row. */
@inline
function sum16(codes: usize, i: i32, x: usize, table: v128, low: v128): v128 {
  const w0 = lookUp(table, codesOf(codes, i, low));
  const w1 = lookUp(table, codesOf(codes, i + 1, low));
  const w2 = lookUp(table, codesOf(codes, i + 2, low));
  const w3 = lookUp(table, codesOf(codes, i + 3, low));
  if (ACCUMULATING_DOT) return addDots16(i32x4.splat(0), w0, w1, w2, w3, x);
  return i32x4.dot_i16x8_s(dots16(w0, w1, w2, w3, x), i16x8.splat(1));
}

export function timesMXFP4(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const table = values();
  const low = bytesOf(15);
  const offset = i16x8.splat(-<i16>OFFSET);
  let a = f32x4.splat(0);
  let b = a;
  for (const end = panel + (<usize>columns >> 5) * MX_GROUP; panel < end; panel += MX_GROUP) {
    const xs = v128.load_splat<f32>(x, 32);
    // The sums of the first and of the last 16 codes are side by side.
    const xSums = i32x4.dot_i16x8_s(offset, v128.load_splat<u32>(x, 50));
    const i = i32x4.add(sum16(panel + 16, 0, x, table, low), sum16(panel + 16, 4, x + 16, table, low));
    a = madd(f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(i, xSums)), loadScales(panel)), xs, a);
    const j = i32x4.add(sum16(panel + 80, 0, x, table, low), sum16(panel + 80, 4, x + 16, table, low));
    b = madd(f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(j, xSums)), loadScales(panel + 8)), xs, b);
    x += xStride;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}

/** 32 columns of a quad in two halves, each times its scales. */
@inline
function twoHalves(
  codes: usize, scales: usize, x: usize, first: v128, last: v128, table: v128, low: v128,
): v128 {
  const i = f32x4.convert_i32x4_s(i32x4.add(sum16(codes, 0, x, table, low), first));
  const j = f32x4.convert_i32x4_s(i32x4.add(sum16(codes, 4, x + 16, table, low), last));
  return madd(j, loadScales(scales + 16), f32x4.mul(i, loadScales(scales)));
}

export function timesNVFP4(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const table = values();
  const low = bytesOf(15);
  // Each of the sums of codes is there twice.
  const offset = i16x8.splat(-<i16>OFFSET / 2);
  let a = f32x4.splat(0);
  let b = a;
  for (const end = panel + (<usize>columns >> 5) * NV_GROUP; panel < end; panel += NV_GROUP) {
    const xs = v128.load_splat<f32>(x, 32);
    const first = i32x4.dot_i16x8_s(offset, v128.load_splat<u32>(x, 48));
    const last = i32x4.dot_i16x8_s(offset, v128.load_splat<u32>(x, 52));
    a = madd(twoHalves(panel + 32, panel, x, first, last, table, low), xs, a);
    b = madd(twoHalves(panel + 96, panel + 8, x, first, last, table, low), xs, b);
    x += xStride;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
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
function storeScales(from: usize, scales: usize, mins: usize): void {
  const s = loadScales(from);
  v128.store(scales, s);
  v128.store(mins, f32x4.mul(s, f32x4.splat(<f32>OFFSET)));
}

export function unpackMXFP4(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const next = k >> 5 << 4;
  const table = values();
  const low = bytesOf(15);
  for (const end = codes + 4 * k; codes < end; codes += 128) {
    unpackQuad(panel + 16, table, low, codes);
    unpackQuad(panel + 80, table, low, codes + 4 * k);
    storeScales(panel, scales, mins);
    storeScales(panel + 8, scales + next, mins + next);
    panel += MX_GROUP;
    scales += 16;
    mins += 16;
  }
}

export function unpackNVFP4(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const table = values();
  const low = bytesOf(15);
  for (const end = codes + 4 * k; codes < end; codes += 128) {
    unpackQuad(panel + 32, table, low, codes);
    unpackQuad(panel + 96, table, low, codes + 4 * k);
    storeScales(panel, scales, mins);
    storeScales(panel + 16, scales + 16, mins + 16);
    storeScales(panel + 8, scales + k, mins + k);
    storeScales(panel + 24, scales + k + 16, mins + k + 16);
    panel += NV_GROUP;
    scales += 32;
    mins += 32;
  }
}
