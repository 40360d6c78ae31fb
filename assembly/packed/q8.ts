import { madd } from '../math';
import { addDots16, negativeShift, shifted, shiftSums } from '../dot-bytes';
import { loadHalves4 } from './halves';

// Q8_0: per 32 columns, f16[8] scales, then for each four rows i8[16][4][2]: two columns of each row side by side, as
// products in words take them; or i8[8][4][4], four columns of each row, shifted (dot-bytes.ts).

const BLOCK: usize = 34;
const GROUP: usize = 272;

export function packQ8_0(source: usize, rowBytes: usize, columns: i32, target: usize): void {
  for (let group: usize = 0; group < <usize>columns >> 5; group++) {
    for (let row: usize = 0; row < 8; row++) {
      const from = source + row * rowBytes + group * BLOCK;
      store<u16>(target + 2 * row, load<u16>(from));
      const quad = target + 16 + (row >> 2) * 128;
      if (ACCUMULATING_DOT) {
        const to = quad + (row & 3) * 4;
        for (let i: usize = 0; i < 8; i++) store<u32>(to + 16 * i, load<u32>(from + 4 * i, 2));
        continue;
      }
      const to = quad + (row & 3) * 2;
      for (let pair: usize = 0; pair < 16; pair++) store<u16>(to + 8 * pair, load<u16>(from + 2 * pair, 2));
    }
    if (ACCUMULATING_DOT) {
      for (let i: usize = 16; i < GROUP; i += 16) v128.store(target + i, shifted(v128.load(target + i)));
    }
    target += GROUP;
  }
}

/** 32 columns of four rows times a token's. */
@inline
function addDots32(sums: v128, quad: usize, x: usize): v128 {
  sums = addDots16(
    sums, v128.load(quad), v128.load(quad, 16), v128.load(quad, 32), v128.load(quad, 48), x);
  return addDots16(
    sums, v128.load(quad, 64), v128.load(quad, 80), v128.load(quad, 96), v128.load(quad, 112), x + 16);
}

function timesBytes(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  const shift = negativeShift();
  let low = f32x4.splat(0);
  let high = low;
  for (const end = panel + (<usize>columns >> 5) * GROUP; panel < end; panel += GROUP) {
    const start = shiftSums(shift, x);
    const scale = v128.load_splat<f32>(x, 32);
    const a = addDots32(start, panel + 16, x);
    low = madd(f32x4.mul(f32x4.convert_i32x4_s(a), loadHalves4(panel)), scale, low);
    const b = addDots32(start, panel + 144, x);
    high = madd(f32x4.mul(f32x4.convert_i32x4_s(b), loadHalves4(panel + 8)), scale, high);
    x += xStride;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

export function timesQ8_0(panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  if (ACCUMULATING_DOT) return timesBytes(panel, columns, x, xStride, sums);
  let low = f32x4.splat(0);
  let high = low;
  for (const end = panel + (<usize>columns >> 5) * GROUP; panel < end; panel += GROUP) {
    let a = i32x4.splat(0);
    let b = a;
    for (let at: usize = 0; at < 64; at += 16) {
      const from = panel + 2 * at;
      const x0 = v128.load_splat<i32>(x + at);
      const x1 = v128.load_splat<i32>(x + at, 4);
      const x2 = v128.load_splat<i32>(x + at, 8);
      const x3 = v128.load_splat<i32>(x + at, 12);
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 16), x0));
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 144), x0));
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 24), x1));
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 152), x1));
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 32), x2));
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 160), x2));
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 40), x3));
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(from, 168), x3));
    }
    const scale = v128.load_splat<f32>(x, 64);
    low = madd(f32x4.mul(f32x4.convert_i32x4_s(a), loadHalves4(panel)), scale, low);
    high = madd(f32x4.mul(f32x4.convert_i32x4_s(b), loadHalves4(panel + 8)), scale, high);
    x += xStride;
  }
  v128.store(sums, low);
  v128.store(sums, high, 16);
}

export function unpackQ8_0(panel: usize, columns: i32, codes: usize, scales: usize): void {
  const k = <usize>columns;
  const next = k >> 5 << 4;
  for (const end = codes + 4 * k; codes < end; codes += 128) {
    v128.store(scales, loadHalves4(panel));
    v128.store(scales + next, loadHalves4(panel + 8));
    memory.copy(codes, panel + 16, 128);
    memory.copy(codes + 4 * k, panel + 144, 128);
    panel += GROUP;
    scales += 16;
  }
}
