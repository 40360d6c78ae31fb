import { WORD_BLOCK } from './activations';
import { madd, sumLanes } from './math';
import { TILE } from './panel';

// Products with activations in words, for the types whose codes fill a byte: Q8_0 and the IQ4 types. All of them have
// groups of 32 and no minima.

@inline
function addScaled(sums: usize, a: v128, b: v128, aScales: v128, bScales: v128, x: v128): void {
  v128.store(sums, madd(f32x4.mul(f32x4.convert_i32x4_s(a), aScales), x, v128.load(sums)));
  const second = sums + TILE * 16;
  v128.store(second, madd(f32x4.mul(f32x4.convert_i32x4_s(b), bScales), x, v128.load(second)));
}

/** One group of both panels times four tokens. */
@inline
function addFour(panel: usize, second: usize, sa: v128, sb: v128, x: usize, sums: usize): void {
  let a0 = i32x4.splat(0);
  let a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (const end = panel + 128; panel < end; panel += 32) {
    let a = v128.load_ext<i8>(panel);
    let b = v128.load_ext<i8>(second);
    let v = v128.load_splat<i32>(x);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, v));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 80);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, v));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 160);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, v));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 240);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, v));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, v));
    a = v128.load_ext<i8>(panel, 8);
    b = v128.load_ext<i8>(second, 8);
    v = v128.load_splat<i32>(x, 4);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, v));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 84);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, v));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 164);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, v));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 244);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, v));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, v));
    a = v128.load_ext<i8>(panel, 16);
    b = v128.load_ext<i8>(second, 16);
    v = v128.load_splat<i32>(x, 8);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, v));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 88);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, v));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 168);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, v));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 248);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, v));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, v));
    a = v128.load_ext<i8>(panel, 24);
    b = v128.load_ext<i8>(second, 24);
    v = v128.load_splat<i32>(x, 12);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(a, v));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 92);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(a, v));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 172);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(a, v));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(b, v));
    v = v128.load_splat<i32>(x, 252);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(a, v));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(b, v));
    second += 32;
    x += 16;
  }
  addScaled(sums, a0, b0, sa, sb, v128.load_splat<f32>(x));
  addScaled(sums + 16, a1, b1, sa, sb, v128.load_splat<f32>(x, 80));
  addScaled(sums + 32, a2, b2, sa, sb, v128.load_splat<f32>(x, 160));
  addScaled(sums + 48, a3, b3, sa, sb, v128.load_splat<f32>(x, 240));
}

/** One group of both panels times one token. */
@inline
function addOne(panel: usize, second: usize, sa: v128, sb: v128, x: usize, sums: usize): void {
  let a = i32x4.splat(0);
  let b = a;
  for (const end = panel + 128; panel < end; panel += 8) {
    const v = v128.load_splat<i32>(x);
    a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load_ext<i8>(panel), v));
    b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load_ext<i8>(second), v));
    second += 8;
    x += 4;
  }
  addScaled(sums, a, b, sa, sb, v128.load_splat<f32>(x));
}

/** Adds the products of both panels (layout: matmul-quantized.ts) with a tile of tokens to their sums. */
export function addTileWords(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  const start = panel + 12 * k;
  const next = k >> 5 << 4;
  let scales = panel + 8 * k;
  for (const end = panel + 4 * k; panel < end; panel += 128) {
    const sa = v128.load(scales);
    const sb = v128.load(scales + next);
    let sums = start;
    let at = x;
    let t: i32 = 0;
    for (; t + 4 <= tokens; t += 4) {
      addFour(panel, panel + 4 * k, sa, sb, at, sums);
      at += 4 * WORD_BLOCK;
      sums += 64;
    }
    for (; t < tokens; t++) {
      addOne(panel, panel + 4 * k, sa, sb, at, sums);
      at += WORD_BLOCK;
      sums += 16;
    }
    scales += 16;
    x += xStride;
  }
}

@inline
function dot16(codes: usize, x: usize): v128 {
  const c = v128.load(codes);
  return i32x4.add(
    i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(c), v128.load(x)),
    i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(c), v128.load(x, 16)),
  );
}

/** One unpacked row times one token; `xStride`: bytes between the token's activation blocks. */
export function dotRowWords(codes: usize, scales: usize, columns: i32, x: usize, xStride: usize): f32 {
  let acc = f32x4.splat(0);
  for (const end = codes + <usize>columns; codes < end; codes += 32) {
    const s = i32x4.add(dot16(codes, x), dot16(codes + 16, x + 32));
    acc = madd(f32x4.convert_i32x4_s(s), f32x4.splat(load<f32>(scales) * load<f32>(x, 64)), acc);
    x += xStride;
    scales += 4;
  }
  return sumLanes(acc);
}
