import { madd } from '../math';
import { pairSums } from '../product-bytes';
import { IQ3S_ENTRIES, IQ3XXS_ENTRIES, tables } from '../unpack/tables';
import { highNibbles, lookUp, lowNibbles, odd16 } from '../unpack/vectors';
import { bytesOf } from './constants';
import { evenSigns, QUAD, signed, spread, storeOdd32, storeScales4, transposeBits } from './grids';
import { loadHalves4 } from './halves';

// IQ3_XXS and IQ3_S (ggml's layouts: src/quant/iq3.ts). A vector is four columns of four rows. Group of a quad:
//
//   u8[8][4] (IQ3_XXS) or 10-bit numbers, four in five bytes: entries, of each four columns those of the four rows
//   u8[16]                                                    signs: bit 7 − v of byte b is that of byte b of vector v
//
// Before them 4-bit scales, those of the first four groups in the low halves of the bytes, those of the others in the
// high ones, four rows side by side, and the super-scales. weight = d/4 · (2s + 1) · ±magnitude in IQ3_XXS,
// d · (2s + 1) · ±magnitude in IQ3_S.
//
// Magnitudes are at most 62 in IQ3_XXS, where two products of bytes can be added in 16 bits, and 15 in IQ3_S, where
// eight can.

const HEAD: usize = 24;
const XXS_GROUP: usize = 48;
const S_GROUP: usize = 56;

@inline
function groupBytes(ten: bool): usize {
  return ten ? S_GROUP : XXS_GROUP;
}

@inline
function quadBytes(ten: bool): usize {
  return HEAD + 8 * groupBytes(ten);
}

/** Four signs of each of eight vectors of a row, eight in each byte from the lowest, as ggml has them in IQ3_S. */
@inline
function signsOf(row: usize, group: usize, ten: bool): u32 {
  if (ten) return load<u32>(row + 4 * group, 74);
  const codes = load<u32>(row + 4 * group, 66);
  return (
    evenSigns(codes & 127) | (evenSigns((codes >> 7) & 127) << 8) |
    (evenSigns((codes >> 14) & 127) << 16) | (evenSigns((codes >> 21) & 127) << 24)
  );
}

@inline
function scaleOf(row: usize, group: usize, ten: bool): u32 {
  if (ten) return (<u32>load<u8>(row + (group >> 1), 106) >> (4 * <u32>(group & 1))) & 15;
  return load<u32>(row + 4 * group, 66) >> 28;
}

@inline
function packQuad(source: usize, rowBytes: usize, target: usize, ten: bool): void {
  for (let r: usize = 0; r < 4; r++) {
    const row = source + r * rowBytes;
    for (let i: usize = 0; i < 4; i++) {
      store<u8>(target + 4 * i + r, scaleOf(row, i, ten) | (scaleOf(row, i + 4, ten) << 4));
    }
    store<u16>(target + 2 * r, load<u16>(row), 16);
  }
  target += HEAD;
  for (let group: usize = 0; group < 8; group++) {
    for (let v: usize = 0; v < 8; v++) {
      let numbers: u64 = 0;
      for (let r: usize = 0; r < 4; r++) {
        const row = source + r * rowBytes;
        const low = <u64>load<u8>(row + 8 * group + v, 2);
        if (ten) {
          const high = (<u64>load<u8>(row + group, 66) >> v) & 1;
          numbers |= (low | (high << 8)) << (10 * r);
        } else numbers |= low << (8 * r);
      }
      store<u32>(target, <u32>numbers);
      if (ten) store<u8>(target, numbers >> 32, 4);
      target += ten ? 5 : 4;
    }
    for (let r: usize = 0; r < 4; r += 2) {
      const first = signsOf(source + r * rowBytes, group, ten);
      const second = signsOf(source + (r + 1) * rowBytes, group, ten);
      let bits: u64 = 0;
      for (let v: u32 = 0; v < 8; v++) {
        bits = (bits << 8) | ((first >> (4 * v)) & 15) | (((second >> (4 * v)) & 15) << 4);
      }
      store<u64>(target, transposeBits(bits));
      target += 8;
    }
  }
}

@inline
function pack(source: usize, rowBytes: usize, columns: i32, target: usize, ten: bool): void {
  for (let block = columns >> 8; block > 0; block--) {
    packQuad(source, rowBytes, target, ten);
    packQuad(source + 4 * rowBytes, rowBytes, target + quadBytes(ten), ten);
    target += 2 * quadBytes(ten);
    source += ten ? 110 : 98;
  }
}

/** Entries of four bytes of four rows by their numbers. */
@inline
function four(grid: usize, a: u32, b: u32, c: u32, d: u32): v128 {
  const ab = v128.load_lane<u32>(grid + (<usize>b << 2), v128.load_zero<u32>(grid + (<usize>a << 2)), 1);
  const abc = v128.load_lane<u32>(grid + (<usize>c << 2), ab, 2);
  return v128.load_lane<u32>(grid + (<usize>d << 2), abc, 3);
}

/** The entries of the 10-bit numbers in words that begin one byte after another. */
@inline
function fourTens(grid: usize, a: u32, b: u32, c: u32, d: u32): v128 {
  return four(grid, a & 1023, (b >> 2) & 1023, (c >> 4) & 1023, d >> 6);
}

@inline
function xxsEntries(grid: usize, at: usize): v128 {
  return four(grid, load<u8>(at), load<u8>(at, 1), load<u8>(at, 2), load<u8>(at, 3));
}

@inline
function sEntries(grid: usize, at: usize): v128 {
  return fourTens(grid, load<u16>(at), load<u16>(at, 1), load<u16>(at, 2), load<u16>(at, 3));
}

export function timesIQ3_XXS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const grid = tables + IQ3XXS_ENTRIES;
  const zero = i8x16.splat(0);
  const scales = sums + 32;
  const rows = spread(QUAD);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  for (let block = columns >> 8; block > 0; block--) {
    for (const both = sums + 32; sums < both; sums += 16) {
      storeOdd32(v128.load(panel), scales, 16);
      const d = panel + 16;
      panel += HEAD;
      let f = f32x4.splat(0);
      let at = x;
      let scale = scales;
      for (const end = panel + 8 * XXS_GROUP; panel < end; panel += XXS_GROUP) {
        let s = v128.load(panel, 32);
        const k = lookUp(v128.load_splat<u32>(scale), rows);
        let e = four(grid, load<u8>(panel), load<u8>(panel, 1), load<u8>(panel, 2), load<u8>(panel, 3));
        let p = pairSums(signed(v128.load_splat<u32>(at), s, zero), e);
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 4), load<u8>(panel, 5), load<u8>(panel, 6), load<u8>(panel, 7));
        let i = i32x4.dot_i16x8_s(i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 4), s, zero), e)), k);
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 8), load<u8>(panel, 9), load<u8>(panel, 10), load<u8>(panel, 11));
        p = pairSums(signed(v128.load_splat<u32>(at, 8), s, zero), e);
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 12), load<u8>(panel, 13), load<u8>(panel, 14), load<u8>(panel, 15));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 12), s, zero), e));
        i = i32x4.add(i, i32x4.dot_i16x8_s(p, k));
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 16), load<u8>(panel, 17), load<u8>(panel, 18), load<u8>(panel, 19));
        p = pairSums(signed(v128.load_splat<u32>(at, 16), s, zero), e);
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 20), load<u8>(panel, 21), load<u8>(panel, 22), load<u8>(panel, 23));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 20), s, zero), e));
        i = i32x4.add(i, i32x4.dot_i16x8_s(p, k));
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 24), load<u8>(panel, 25), load<u8>(panel, 26), load<u8>(panel, 27));
        p = pairSums(signed(v128.load_splat<u32>(at, 24), s, zero), e);
        s = i8x16.add(s, s);
        e = four(grid, load<u8>(panel, 28), load<u8>(panel, 29), load<u8>(panel, 30), load<u8>(panel, 31));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 28), s, zero), e));
        i = i32x4.add(i, i32x4.dot_i16x8_s(p, k));
        f = madd(f32x4.convert_i32x4_s(i), v128.load_splat<f32>(at, 32), f);
        scale += 4;
        at += xStride;
      }
      v128.store(sums, madd(f32x4.mul(f, f32x4.splat(0.25)), loadHalves4(d), v128.load(sums)));
    }
    sums -= 32;
    x += 8 * xStride;
  }
}

export function timesIQ3_S(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const grid = tables + IQ3S_ENTRIES;
  const zero = i8x16.splat(0);
  const scales = sums + 32;
  const rows = spread(QUAD);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  for (let block = columns >> 8; block > 0; block--) {
    for (const both = sums + 32; sums < both; sums += 16) {
      storeOdd32(v128.load(panel), scales, 16);
      const d = panel + 16;
      panel += HEAD;
      let f = f32x4.splat(0);
      let at = x;
      let scale = scales;
      for (const end = panel + 8 * S_GROUP; panel < end; panel += S_GROUP) {
        let s = v128.load(panel, 40);
        let e = fourTens(grid, load<u16>(panel), load<u16>(panel, 1), load<u16>(panel, 2), load<u16>(panel, 3));
        let p = pairSums(signed(v128.load_splat<u32>(at), s, zero), e);
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 5), load<u16>(panel, 6), load<u16>(panel, 7), load<u16>(panel, 8));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 4), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 10), load<u16>(panel, 11), load<u16>(panel, 12), load<u16>(panel, 13));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 8), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 15), load<u16>(panel, 16), load<u16>(panel, 17), load<u16>(panel, 18));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 12), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 20), load<u16>(panel, 21), load<u16>(panel, 22), load<u16>(panel, 23));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 16), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 25), load<u16>(panel, 26), load<u16>(panel, 27), load<u16>(panel, 28));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 20), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 30), load<u16>(panel, 31), load<u16>(panel, 32), load<u16>(panel, 33));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 24), s, zero), e));
        s = i8x16.add(s, s);
        e = fourTens(grid, load<u16>(panel, 35), load<u16>(panel, 36), load<u16>(panel, 37), load<u16>(panel, 38));
        p = i16x8.add(p, pairSums(signed(v128.load_splat<u32>(at, 28), s, zero), e));
        const i = i32x4.dot_i16x8_s(p, lookUp(v128.load_splat<u32>(scale), rows));
        f = madd(f32x4.convert_i32x4_s(i), v128.load_splat<f32>(at, 32), f);
        scale += 4;
        at += xStride;
      }
      v128.store(sums, madd(f, loadHalves4(d), v128.load(sums)));
    }
    sums -= 32;
    x += 8 * xStride;
  }
}

@inline
function unpack(
  panel: usize, columns: i32, codes: usize, scales: usize, mins: usize, ten: bool, grid: usize, factor: f32,
  offset: i32,
): void {
  const k = <usize>columns;
  const zero = i8x16.splat(0);
  const add = bytesOf(offset);
  const step: usize = ten ? 5 : 4;
  for (let block: usize = 0; block < k >> 8; block++) {
    for (let quad: usize = 0; quad < 2; quad++) {
      let to = codes + quad * 4 * k + (block << 10);
      const d = f32x4.mul(loadHalves4(panel + 16), f32x4.splat(factor));
      const packed = v128.load(panel);
      const at = ((quad * k) >> 1) + (block << 7);
      storeScales4(odd16(lowNibbles(packed)), d, offset, scales + at, mins + at);
      storeScales4(odd16(highNibbles(packed)), d, offset, scales + at + 64, mins + at + 64);
      panel += HEAD;
      for (let group = 0; group < 8; group++) {
        let s = v128.load(panel + 8 * step);
        for (const end = panel + 8 * step; panel < end; panel += step) {
          const entries = ten ? sEntries(grid, panel) : xxsEntries(grid, panel);
          v128.store(to, i8x16.add(signed(entries, s, zero), add));
          s = i8x16.add(s, s);
          to += 16;
        }
        panel += 16;
      }
    }
  }
}

export function packIQ3_XXS(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  pack(source, rowBytes, columns, target, false);
}

export function unpackIQ3_XXS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, false, tables + IQ3XXS_ENTRIES, 0.25, 62);
}

export function packIQ3_S(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  pack(source, rowBytes, columns, target, true);
}

export function unpackIQ3_S(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpack(panel, columns, codes, scales, mins, true, tables + IQ3S_ENTRIES, 1, 15);
}
