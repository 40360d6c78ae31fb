import { madd, nmadd } from '../math';
import { pairSums } from '../product-bytes';
import { IQ1_SHIFTED, tables } from '../unpack/tables';
import { highNibbles, lookUp, lowNibbles, odd16 } from '../unpack/vectors';
import {
  foldPairs, LEFT_PAIR, QUAD, QUAD_HALVES, RIGHT_PAIR, SECOND_LEFT_PAIR, SECOND_RIGHT_PAIR, spread, storeOctet,
  storeOdd32, storeScales4, two,
} from './grids';
import { loadHalves4 } from './halves';

// IQ1_S and IQ1_M (ggml's layouts: src/quant/iq1.ts). A vector is eight columns of two rows. Group of a quad: 12-bit
// numbers of entries, two in three bytes, of each eight columns those of the four rows. The highest bit is the sign of
// the shift, which the entries contain: 8 · value ± 1 + 9, 0 … 18.
//
// Before them 4-bit scales (IQ1_S: of groups, IQ1_M: of half groups), those of the first half of the columns in the low
// halves of the bytes, those of the second in the high ones, four rows side by side, and the super-scales.
// weight = d/8 · (2s + 1) · (entry − 9). Sums of four products of bytes fit 16 bits.

const GROUP: usize = 24;
const OFFSET: i32 = 9;

@inline
function headBytes(halves: bool): usize {
  return halves ? 40 : 24;
}

@inline
function quadBytes(halves: bool): usize {
  return headBytes(halves) + 8 * GROUP;
}

/** Three highest bits of a row's entry `octet` of a group and the sign of its shift, as IQ1_M has them. */
@inline
function highBits(row: usize, group: usize, octet: usize, halves: bool): u32 {
  if (halves) return (<u32>load<u8>(row + 2 * group + (octet >> 1), 32) >> (4 * <u32>(octet & 1))) & 15;
  const word = <u32>load<u16>(row + 2 * group, 34);
  return ((word >> (3 * <u32>octet)) & 7) | ((word >> 12) & 8);
}

/** Scale of a row's group or half group `i`. */
@inline
function scaleOf(row: usize, i: usize, halves: bool): u32 {
  if (halves) return (<u32>load<u16>(row + 2 * (i >> 2), 48) >> (3 * <u32>(i & 3))) & 7;
  return (<u32>load<u16>(row + 2 * i, 34) >> 12) & 7;
}

@inline
function superScale(row: usize, halves: bool): u32 {
  if (!halves) return load<u16>(row);
  const words = load<u64>(row, 48);
  return <u32>(
    ((words >> 12) & 0xf) | ((words >> 24) & 0xf0) | ((words >> 36) & 0xf00) | ((words >> 48) & 0xf000)
  );
}

@inline
function packQuad(source: usize, rowBytes: usize, target: usize, halves: bool): void {
  const half: usize = halves ? 8 : 4;
  for (let r: usize = 0; r < 4; r++) {
    const row = source + r * rowBytes;
    for (let i: usize = 0; i < half; i++) {
      store<u8>(target + 4 * i + r, scaleOf(row, i, halves) | (scaleOf(row, i + half, halves) << 4));
    }
    store<u16>(target + 4 * half + 2 * r, superScale(row, halves));
  }
  target += headBytes(halves);
  for (let group: usize = 0; group < 8; group++) {
    for (let octet: usize = 0; octet < 4; octet++) {
      const low: usize = 4 * group + octet + <usize>(halves ? 0 : 2);
      for (let r: usize = 0; r < 4; r += 2) {
        const row = source + r * rowBytes;
        const first = load<u8>(row + low) | (highBits(row, group, octet, halves) << 8);
        const next = row + rowBytes;
        const second = load<u8>(next + low) | (highBits(next, group, octet, halves) << 8);
        store<u16>(target, first | (second << 12));
        store<u8>(target, second >> 4, 2);
        target += 3;
      }
    }
  }
}

@inline
function pack(source: usize, rowBytes: usize, columns: i32, target: usize, halves: bool): void {
  for (let block = columns >> 8; block > 0; block--) {
    packQuad(source, rowBytes, target, halves);
    packQuad(source + 4 * rowBytes, rowBytes, target + quadBytes(halves), halves);
    target += 2 * quadBytes(halves);
    source += halves ? 56 : 50;
  }
}

/** Entries of two rows by the words of two bytes that the first number begins and the second ends. */
@inline
function entries(grid: usize, first: u32, second: u32): v128 {
  return two(grid, first & 0xfff, second >> 4);
}

@inline
function times(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize, halves: bool): void {
  const grid = tables + IQ1_SHIFTED;
  const zero = f32x4.splat(0);
  const scales = sums + 32;
  const left = spread(LEFT_PAIR);
  const right = spread(RIGHT_PAIR);
  const secondLeft = halves ? spread(SECOND_LEFT_PAIR) : zero;
  const secondRight = halves ? spread(SECOND_RIGHT_PAIR) : zero;
  const rows = spread(halves ? QUAD_HALVES : QUAD);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  for (let block = columns >> 8; block > 0; block--) {
    for (const both = sums + 32; sums < both; sums += 16) {
      storeOdd32(v128.load(panel), scales, halves ? 32 : 16);
      if (halves) storeOdd32(v128.load(panel, 16), scales + 16, 32);
      panel += headBytes(halves);
      const d = panel - 8;
      let l = f32x4.splat(0);
      let r = l;
      let offsets = l;
      let at = x;
      let scale = scales;
      for (const end = panel + 8 * GROUP; panel < end; panel += GROUP) {
        const x0 = v128.load_splat<u64>(at);
        const x1 = v128.load_splat<u64>(at, 8);
        const x2 = v128.load_splat<u64>(at, 16);
        const x3 = v128.load_splat<u64>(at, 24);
        const l01 = i16x8.add(
          pairSums(x0, entries(grid, load<u16>(panel), load<u16>(panel, 1))),
          pairSums(x1, entries(grid, load<u16>(panel, 6), load<u16>(panel, 7))),
        );
        const l23 = i16x8.add(
          pairSums(x2, entries(grid, load<u16>(panel, 12), load<u16>(panel, 13))),
          pairSums(x3, entries(grid, load<u16>(panel, 18), load<u16>(panel, 19))),
        );
        const k = halves ? v128.load_splat<u64>(scale) : v128.load_splat<u32>(scale);
        const xs = v128.load_splat<f32>(at, 32);
        const lSums = halves
          ? i32x4.add(i32x4.dot_i16x8_s(l01, lookUp(k, left)), i32x4.dot_i16x8_s(l23, lookUp(k, secondLeft)))
          : i32x4.dot_i16x8_s(i16x8.add(l01, l23), lookUp(k, left));
        l = madd(f32x4.convert_i32x4_s(lSums), xs, l);
        const r01 = i16x8.add(
          pairSums(x0, entries(grid, load<u16>(panel, 3), load<u16>(panel, 4))),
          pairSums(x1, entries(grid, load<u16>(panel, 9), load<u16>(panel, 10))),
        );
        const r23 = i16x8.add(
          pairSums(x2, entries(grid, load<u16>(panel, 15), load<u16>(panel, 16))),
          pairSums(x3, entries(grid, load<u16>(panel, 21), load<u16>(panel, 22))),
        );
        const rSums = halves
          ? i32x4.add(i32x4.dot_i16x8_s(r01, lookUp(k, right)), i32x4.dot_i16x8_s(r23, lookUp(k, secondRight)))
          : i32x4.dot_i16x8_s(i16x8.add(r01, r23), lookUp(k, right));
        r = madd(f32x4.convert_i32x4_s(rSums), xs, r);
        // Sums of the first and of the last 16 codes side by side.
        const xSums = i32x4.dot_i16x8_s(lookUp(k, rows), v128.load_splat<u32>(at, 50));
        offsets = madd(f32x4.convert_i32x4_s(xSums), xs, offsets);
        scale += halves ? 8 : 4;
        at += xStride;
      }
      const products = nmadd(offsets, f32x4.splat(<f32>OFFSET), foldPairs(l, r));
      const scaled = f32x4.mul(products, f32x4.splat(0.125));
      v128.store(sums, madd(scaled, loadHalves4(d), v128.load(sums)));
    }
    sums -= 32;
    x += 8 * xStride;
  }
}

@inline
function unpack(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize, halves: bool): void {
  const k = <usize>columns;
  const grid = tables + IQ1_SHIFTED;
  for (let block: usize = 0; block < k >> 8; block++) {
    for (let quad: usize = 0; quad < 2; quad++) {
      let to = codes + quad * 4 * k + (block << 10);
      const d = f32x4.mul(loadHalves4(panel + (halves ? 32 : 16)), f32x4.splat(0.125));
      const first = v128.load(panel);
      const at = halves ? quad * k + (block << 8) : ((quad * k) >> 1) + (block << 7);
      const high: usize = halves ? 128 : 64;
      storeScales4(odd16(lowNibbles(first)), d, OFFSET, scales + at, mins + at);
      storeScales4(odd16(highNibbles(first)), d, OFFSET, scales + at + high, mins + at + high);
      if (halves) {
        const second = v128.load(panel, 16);
        storeScales4(odd16(lowNibbles(second)), d, OFFSET, scales + at + 64, mins + at + 64);
        storeScales4(odd16(highNibbles(second)), d, OFFSET, scales + at + 192, mins + at + 192);
      }
      panel += headBytes(halves);
      for (const end = panel + 8 * GROUP; panel < end; panel += 6) {
        storeOctet(
          to,
          entries(grid, load<u16>(panel), load<u16>(panel, 1)),
          entries(grid, load<u16>(panel, 3), load<u16>(panel, 4)),
        );
        to += 32;
      }
    }
  }
}

export function packIQ1_S(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  pack(source, rowBytes, columns, target, false);
}

export function timesIQ1_S(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, x, xStride, sums, false);
}

export function unpackIQ1_S(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, false);
}

export function packIQ1_M(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  pack(source, rowBytes, columns, target, true);
}

export function timesIQ1_M(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  times(panel, columns, x, xStride, sums, true);
}

export function unpackIQ1_M(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, true);
}
