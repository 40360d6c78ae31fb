import { madd } from '../math';
import { pairSums } from '../product-bytes';
import { IQ2S_ENTRIES, IQ2XS_ENTRIES, IQ2XXS_ENTRIES, tables } from '../unpack/tables';
import { highNibbles, lookUp, lowNibbles, odd16 } from '../unpack/vectors';
import { bytesOf } from './constants';
import {
  evenSigns, foldPairs, LEFT_PAIR, RIGHT_PAIR, SECOND_LEFT_PAIR, SECOND_RIGHT_PAIR, signed, spread, storeOctet,
  storeOdd32, storeScales4, transposeBits, two,
} from './grids';
import { loadHalves4 } from './halves';

// IQ2_XXS, IQ2_XS and IQ2_S (ggml's layouts: src/quant/iq2.ts). A vector is eight columns of two rows. Group of a quad:
//
//   u8[4][4] (IQ2_XXS) or 10-bit numbers, four in five bytes: entries, of each eight columns those of the four rows
//   u8[16]                                                    signs: bit 7 − v of byte b is that of byte b of vector v;
//                                                             vectors 0 … 3 are rows 0, 1, the others rows 2, 3
//
// Before them 4-bit scales, those of the first half of the groups in the low halves of the bytes, those of the second
// in the high ones, four rows side by side, and the super-scales. weight = d/8 · (2s + 1) · ±magnitude.
//
// Magnitudes are at most 43, so that two products of bytes can be added in 16 bits: 4 · 43 · 127 < 2^15.

const XXS_GROUP: usize = 32;
const XXS_HEAD: usize = 24;
const XXS_QUAD: usize = XXS_HEAD + 8 * XXS_GROUP;
const S_GROUP: usize = 36;
const S_HEAD: usize = 40;
const S_QUAD: usize = S_HEAD + 8 * S_GROUP;
/** Makes the codes unsigned. */
const OFFSET: i32 = 43;

/** Sign bytes of four rows and four times eight columns, `[columns][row]`, to the vectors' order. */
function packSigns(signs: usize, target: usize): void {
  for (let half: usize = 0; half < 2; half++) {
    let left: u64 = 0;
    let right: u64 = 0;
    for (let octet: usize = 0; octet < 4; octet++) {
      left = (left << 8) | load<u8>(signs + 4 * octet + half);
      right = (right << 8) | load<u8>(signs + 4 * octet + half, 2);
    }
    store<u64>(target + 8 * half, transposeBits((left << 32) | right));
  }
}

export function packIQ2_XXS(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  for (let block: i32 = 0; block < columns >> 8; block++) {
    for (let quad: usize = 0; quad < 8; quad += 4) {
      memory.fill(target, 0, 16);
      for (let group: usize = 0; group < 8; group++) {
        const to = target + XXS_HEAD + group * XXS_GROUP;
        for (let row: usize = 0; row < 4; row++) {
          const from = source + (quad + row) * rowBytes + 8 * group;
          const signs = load<u32>(from, 6);
          for (let octet: usize = 0; octet < 4; octet++) {
            store<u8>(to + 4 * octet + row, load<u8>(from + octet, 2));
            store<u8>(scratch + 4 * octet + row, evenSigns((signs >> (7 * <u32>octet)) & 127));
          }
          const scale = target + 4 * (group & 3) + row;
          store<u8>(scale, load<u8>(scale) | ((signs >> 28) << (<u32>group & 4)));
        }
        packSigns(scratch, to + 16);
      }
      for (let row: usize = 0; row < 4; row++) {
        store<u16>(target + 2 * row, load<u16>(source + (quad + row) * rowBytes), 16);
      }
      target += XXS_QUAD;
    }
    source += 66;
  }
}

export function timesIQ2_XXS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const grid = tables + IQ2XXS_ENTRIES;
  const zero = i8x16.splat(0);
  const scales = sums + 32;
  const left = spread(LEFT_PAIR);
  const right = spread(RIGHT_PAIR);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  for (let block = columns >> 8; block > 0; block--) {
    for (const both = sums + 32; sums < both; sums += 16) {
      storeOdd32(v128.load(panel), scales, 16);
      const d = panel + 16;
      panel += XXS_HEAD;
      let l = f32x4.splat(0);
      let r = l;
      let at = x;
      let scale = scales;
      for (const end = panel + 8 * XXS_GROUP; panel < end; panel += XXS_GROUP) {
        const x0 = v128.load_splat<u64>(at);
        const x1 = v128.load_splat<u64>(at, 8);
        const x2 = v128.load_splat<u64>(at, 16);
        const x3 = v128.load_splat<u64>(at, 24);
        const s0 = v128.load(panel, 16);
        const s1 = i8x16.add(s0, s0);
        const s2 = i8x16.add(s1, s1);
        const s3 = i8x16.add(s2, s2);
        const l01 = i16x8.add(
          pairSums(signed(x0, s0, zero), two(grid, load<u8>(panel), load<u8>(panel, 1))),
          pairSums(signed(x1, s1, zero), two(grid, load<u8>(panel, 4), load<u8>(panel, 5))),
        );
        const l23 = i16x8.add(
          pairSums(signed(x2, s2, zero), two(grid, load<u8>(panel, 8), load<u8>(panel, 9))),
          pairSums(signed(x3, s3, zero), two(grid, load<u8>(panel, 12), load<u8>(panel, 13))),
        );
        const k = v128.load_splat<u32>(scale);
        const kl = lookUp(k, left);
        const xs = v128.load_splat<f32>(at, 32);
        l = madd(f32x4.convert_i32x4_s(i32x4.add(i32x4.dot_i16x8_s(l01, kl), i32x4.dot_i16x8_s(l23, kl))), xs, l);
        const s4 = i8x16.add(s3, s3);
        const s5 = i8x16.add(s4, s4);
        const s6 = i8x16.add(s5, s5);
        const s7 = i8x16.add(s6, s6);
        const r01 = i16x8.add(
          pairSums(signed(x0, s4, zero), two(grid, load<u8>(panel, 2), load<u8>(panel, 3))),
          pairSums(signed(x1, s5, zero), two(grid, load<u8>(panel, 6), load<u8>(panel, 7))),
        );
        const r23 = i16x8.add(
          pairSums(signed(x2, s6, zero), two(grid, load<u8>(panel, 10), load<u8>(panel, 11))),
          pairSums(signed(x3, s7, zero), two(grid, load<u8>(panel, 14), load<u8>(panel, 15))),
        );
        const kr = lookUp(k, right);
        r = madd(f32x4.convert_i32x4_s(i32x4.add(i32x4.dot_i16x8_s(r01, kr), i32x4.dot_i16x8_s(r23, kr))), xs, r);
        scale += 4;
        at += xStride;
      }
      const scaled = f32x4.mul(foldPairs(l, r), f32x4.splat(0.125));
      v128.store(sums, madd(scaled, loadHalves4(d), v128.load(sums)));
    }
    sums -= 32;
    x += 8 * xStride;
  }
}

/** Signed entries of two rows as unsigned codes. */
@inline
function codes16(magnitudes: v128, signs: v128, zero: v128): v128 {
  return i8x16.add(signed(magnitudes, signs, zero), bytesOf(OFFSET));
}

/** Eight columns of a quad: entries of rows 0, 1 with `left` signs and of rows 2, 3 with `right`. */
@inline
function unpackOctetXXS(grid: usize, numbers: usize, left: v128, right: v128, zero: v128, to: usize): void {
  storeOctet(
    to,
    codes16(two(grid, load<u8>(numbers), load<u8>(numbers, 1)), left, zero),
    codes16(two(grid, load<u8>(numbers, 2), load<u8>(numbers, 3)), right, zero),
  );
}

export function unpackIQ2_XXS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  const k = <usize>columns;
  const grid = tables + IQ2XXS_ENTRIES;
  const zero = i8x16.splat(0);
  for (let block: usize = 0; block < k >> 8; block++) {
    for (let quad: usize = 0; quad < 2; quad++) {
      let to = codes + quad * 4 * k + (block << 10);
      const floats = ((quad * k) >> 1) + (block << 7);
      const d = f32x4.mul(loadHalves4(panel + 16), f32x4.splat(0.125));
      const packed = v128.load(panel);
      storeScales4(odd16(lowNibbles(packed)), d, OFFSET, scales + floats, mins + floats);
      storeScales4(odd16(highNibbles(packed)), d, OFFSET, scales + floats + 64, mins + floats + 64);
      panel += XXS_HEAD;
      for (let group: usize = 0; group < 8; group++) {
        let left = v128.load(panel, 16);
        // Four steps on: the signs of rows 2 and 3.
        let right = v128.and(i16x8.shl(left, 4), i8x16.splat(-16));
        unpackOctetXXS(grid, panel, left, right, zero, to);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetXXS(grid, panel + 4, left, right, zero, to + 32);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetXXS(grid, panel + 8, left, right, zero, to + 64);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetXXS(grid, panel + 12, left, right, zero, to + 96);
        panel += XXS_GROUP;
        to += 128;
      }
    }
  }
}

/** Row r's 10-bit number of those of four rows in five bytes, from the two bytes at r. */
@inline
function ten(word: u32, row: u32): u32 {
  return (word >> (2 * row)) & 1023;
}

/** A quad's numbers, `[octet][row]` in words, and signs, `[octet][row]`, and scales of one group to the panel. */
@inline
function packGroupS(words: usize, signs: usize, target: usize): void {
  for (let octet: usize = 0; octet < 4; octet++) {
    const from = words + 8 * octet;
    const to = target + 5 * octet;
    const low = load<u16>(from) | (<u32>load<u16>(from, 2) << 10) | (<u32>load<u16>(from, 4) << 20);
    const last = <u32>load<u16>(from, 6);
    store<u32>(to, low | (last << 30));
    store<u8>(to, last >> 2, 4);
  }
  packSigns(signs, target + 20);
}

/** 4-bit scales of a row's 16 half groups, eight bytes as ggml has them, to row `row` of the quad's at `target`. */
@inline
function packScales16(from: usize, target: usize, row: usize): void {
  for (let i: usize = 0; i < 16; i++) {
    const s = (<u32>load<u8>(from + (i >> 1)) >> (<u32>(i & 1) << 2)) & 15;
    const to = target + 4 * (i & 7) + row;
    store<u8>(to, load<u8>(to) | (s << (i < 8 ? 0 : 4)));
  }
}

export function packIQ2_XS(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  for (let block: i32 = 0; block < columns >> 8; block++) {
    for (let quad: usize = 0; quad < 8; quad += 4) {
      const from = source + quad * rowBytes;
      for (let group: usize = 0; group < 8; group++) {
        for (let i: usize = 0; i < 16; i++) {
          const word = <u32>load<u16>(from + (i & 3) * rowBytes + 8 * group + 2 * (i >> 2), 2);
          store<u16>(scratch + 2 * i, word & 511);
          store<u8>(scratch + i, evenSigns(word >> 9), 32);
        }
        packGroupS(scratch, scratch + 32, target + S_HEAD + group * S_GROUP);
      }
      packHeadS(from, 66, rowBytes, target);
      target += S_QUAD;
    }
    source += 74;
  }
}

export function packIQ2_S(source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize): void {
  for (let block: i32 = 0; block < columns >> 8; block++) {
    for (let quad: usize = 0; quad < 8; quad += 4) {
      const from = source + quad * rowBytes;
      for (let group: usize = 0; group < 8; group++) {
        for (let i: usize = 0; i < 16; i++) {
          const row = from + (i & 3) * rowBytes;
          const octet = i >> 2;
          const high = (<u32>load<u8>(row + group, 66) >> (2 * <u32>octet)) & 3;
          store<u16>(scratch + 2 * i, load<u8>(row + 4 * group + octet, 2) | (high << 8));
          store<u8>(scratch + i, load<u8>(row + 4 * group + octet, 34), 32);
        }
        packGroupS(scratch, scratch + 32, target + S_HEAD + group * S_GROUP);
      }
      packHeadS(from, 74, rowBytes, target);
      target += S_QUAD;
    }
    source += 82;
  }
}

/** Scales, which begin `scales` bytes into a block, and super-scales of a quad. */
function packHeadS(source: usize, scales: usize, rowBytes: usize, target: usize): void {
  memory.fill(target, 0, 32);
  for (let row: usize = 0; row < 4; row++) {
    packScales16(source + row * rowBytes + scales, target, row);
    store<u16>(target + 2 * row, load<u16>(source + row * rowBytes), 32);
  }
}

function timesTenBits(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize, grid: usize): void {
  const zero = i8x16.splat(0);
  const scales = sums + 32;
  const left = spread(LEFT_PAIR);
  const right = spread(RIGHT_PAIR);
  const secondLeft = spread(SECOND_LEFT_PAIR);
  const secondRight = spread(SECOND_RIGHT_PAIR);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  for (let block = columns >> 8; block > 0; block--) {
    for (const both = sums + 32; sums < both; sums += 16) {
      storeOdd32(v128.load(panel), scales, 32);
      storeOdd32(v128.load(panel, 16), scales + 16, 32);
      const d = panel + 32;
      panel += S_HEAD;
      let l = f32x4.splat(0);
      let r = l;
      let at = x;
      let scale = scales;
      for (const end = panel + 8 * S_GROUP; panel < end; panel += S_GROUP) {
        const x0 = v128.load_splat<u64>(at);
        const x1 = v128.load_splat<u64>(at, 8);
        const x2 = v128.load_splat<u64>(at, 16);
        const x3 = v128.load_splat<u64>(at, 24);
        const s0 = v128.load(panel, 20);
        const s1 = i8x16.add(s0, s0);
        const s2 = i8x16.add(s1, s1);
        const s3 = i8x16.add(s2, s2);
        const l01 = i16x8.add(
          pairSums(signed(x0, s0, zero), two(grid, ten(load<u16>(panel), 0), ten(load<u16>(panel, 1), 1))),
          pairSums(signed(x1, s1, zero), two(grid, ten(load<u16>(panel, 5), 0), ten(load<u16>(panel, 6), 1))),
        );
        const l23 = i16x8.add(
          pairSums(signed(x2, s2, zero), two(grid, ten(load<u16>(panel, 10), 0), ten(load<u16>(panel, 11), 1))),
          pairSums(signed(x3, s3, zero), two(grid, ten(load<u16>(panel, 15), 0), ten(load<u16>(panel, 16), 1))),
        );
        const k = v128.load_splat<u64>(scale);
        const xs = v128.load_splat<f32>(at, 32);
        const lSums = i32x4.add(
          i32x4.dot_i16x8_s(l01, lookUp(k, left)), i32x4.dot_i16x8_s(l23, lookUp(k, secondLeft)));
        l = madd(f32x4.convert_i32x4_s(lSums), xs, l);
        const s4 = i8x16.add(s3, s3);
        const s5 = i8x16.add(s4, s4);
        const s6 = i8x16.add(s5, s5);
        const s7 = i8x16.add(s6, s6);
        const r01 = i16x8.add(
          pairSums(signed(x0, s4, zero), two(grid, ten(load<u16>(panel, 2), 2), <u32>load<u16>(panel, 3) >> 6)),
          pairSums(signed(x1, s5, zero), two(grid, ten(load<u16>(panel, 7), 2), <u32>load<u16>(panel, 8) >> 6)),
        );
        const r23 = i16x8.add(
          pairSums(signed(x2, s6, zero), two(grid, ten(load<u16>(panel, 12), 2), <u32>load<u16>(panel, 13) >> 6)),
          pairSums(signed(x3, s7, zero), two(grid, ten(load<u16>(panel, 17), 2), <u32>load<u16>(panel, 18) >> 6)),
        );
        const rSums = i32x4.add(
          i32x4.dot_i16x8_s(r01, lookUp(k, right)), i32x4.dot_i16x8_s(r23, lookUp(k, secondRight)));
        r = madd(f32x4.convert_i32x4_s(rSums), xs, r);
        scale += 8;
        at += xStride;
      }
      const scaled = f32x4.mul(foldPairs(l, r), f32x4.splat(0.125));
      v128.store(sums, madd(scaled, loadHalves4(d), v128.load(sums)));
    }
    sums -= 32;
    x += 8 * xStride;
  }
}

export function timesIQ2_XS(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  timesTenBits(panel, columns, x, xStride, sums, tables + IQ2XS_ENTRIES);
}

export function timesIQ2_S(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  timesTenBits(panel, columns, x, xStride, sums, tables + IQ2S_ENTRIES);
}

/** Eight columns of a quad: entries of rows 0, 1 with `left` signs and of rows 2, 3 with `right`. */
@inline
function unpackOctetS(grid: usize, numbers: usize, left: v128, right: v128, zero: v128, to: usize): void {
  storeOctet(
    to,
    codes16(two(grid, ten(load<u16>(numbers), 0), ten(load<u16>(numbers, 1), 1)), left, zero),
    codes16(two(grid, ten(load<u16>(numbers, 2), 2), <u32>load<u16>(numbers, 3) >> 6), right, zero),
  );
}

function unpackTenBits(
  panel: usize, columns: i32, codes: usize, scales: usize, mins: usize, grid: usize,
): void {
  const k = <usize>columns;
  const zero = i8x16.splat(0);
  for (let block: usize = 0; block < k >> 8; block++) {
    for (let quad: usize = 0; quad < 2; quad++) {
      let to = codes + quad * 4 * k + (block << 10);
      const floats = quad * k + (block << 8);
      const d = f32x4.mul(loadHalves4(panel + 32), f32x4.splat(0.125));
      const first = v128.load(panel);
      const second = v128.load(panel, 16);
      storeScales4(odd16(lowNibbles(first)), d, OFFSET, scales + floats, mins + floats);
      storeScales4(odd16(lowNibbles(second)), d, OFFSET, scales + floats + 64, mins + floats + 64);
      storeScales4(odd16(highNibbles(first)), d, OFFSET, scales + floats + 128, mins + floats + 128);
      storeScales4(odd16(highNibbles(second)), d, OFFSET, scales + floats + 192, mins + floats + 192);
      panel += S_HEAD;
      for (let group: usize = 0; group < 8; group++) {
        let left = v128.load(panel, 20);
        // Four steps on: the signs of rows 2 and 3.
        let right = v128.and(i16x8.shl(left, 4), i8x16.splat(-16));
        unpackOctetS(grid, panel, left, right, zero, to);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetS(grid, panel + 5, left, right, zero, to + 32);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetS(grid, panel + 10, left, right, zero, to + 64);
        left = i8x16.add(left, left);
        right = i8x16.add(right, right);
        unpackOctetS(grid, panel + 15, left, right, zero, to + 96);
        panel += S_GROUP;
        to += 128;
      }
    }
  }
}

export function unpackIQ2_XS(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackTenBits(panel, columns, codes, scales, mins, tables + IQ2XS_ENTRIES);
}

export function unpackIQ2_S(panel: usize, columns: i32, codes: usize, scales: usize, mins: usize): void {
  unpackTenBits(panel, columns, codes, scales, mins, tables + IQ2S_ENTRIES);
}
