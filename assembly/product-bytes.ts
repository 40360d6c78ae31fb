import { BYTE_BLOCK } from './activations';
import { addDots, addDots16, codeShift, negativeShift, shifted, shiftSums } from './dot-bytes';
import { madd, nmadd, sumLanes } from './math';
import { TILE } from './panel';

// Products with activations in bytes, by the relaxed instruction that multiplies 16 signed with 16 unsigned bytes
// below 128 and adds neighbours to 16-bit sums, or by that of dot-bytes.ts. Weights whose codes span more than 127
// steps take product-words.ts where there is only the first.
//
// Codes get an offset that makes them unsigned: Σ (code + offset) x − offset Σ x, the second sum being at hand in the
// activations. So every type has minima here, its own or scale × offset (exact: scales have few digits), but for codes
// of whole bytes, whose sums the offset is taken from.

/** Sums of two neighbouring products in 16 bits: `w` unsigned and below 128, `x` signed. */
@inline
export function pairSums(x: v128, w: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
  return i16x8.narrow_i32x4_s(
    i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(x), i16x8.extend_low_i8x16_s(w)),
    i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(x), i16x8.extend_high_i8x16_s(w)),
  );
}

/** Eight columns of four rows times a token's, to two 16-bit sums a row. */
@inline
export function dots8(w0: v128, w1: v128, x: usize): v128 {
  // A constant that is added to the address, not given as the load's offset, would take an instruction of its own.
  return i16x8.add(pairSums(v128.load_splat<i32>(x), w0), pairSums(v128.load_splat<i32>(x, 4), w1));
}

/** Sixteen columns of four rows times a token's, to two 16-bit sums a row. */
@inline
export function dots16(w0: v128, w1: v128, w2: v128, w3: v128, x: usize): v128 {
  return i16x8.add(
    dots8(w0, w1, x),
    i16x8.add(pairSums(v128.load_splat<i32>(x, 8), w2), pairSums(v128.load_splat<i32>(x, 12), w3)),
  );
}

/** Sixteen columns of four rows times a token's, to one 32-bit sum a row; `depth` as in `sumDepth`. */
@inline
function sum16(w0: v128, w1: v128, w2: v128, w3: v128, x: usize, depth: i32, ones: v128): v128 {
  if (ACCUMULATING_DOT) return addDots16(i32x4.splat(0), w0, w1, w2, w3, x);
  if (depth >= 4) return i32x4.dot_i16x8_s(dots16(w0, w1, w2, w3, x), ones);
  const d0 = pairSums(v128.load_splat<i32>(x), w0);
  const d1 = pairSums(v128.load_splat<i32>(x, 4), w1);
  const d2 = pairSums(v128.load_splat<i32>(x, 8), w2);
  const d3 = pairSums(v128.load_splat<i32>(x, 12), w3);
  if (depth == 2) {
    return i32x4.add(i32x4.dot_i16x8_s(i16x8.add(d0, d1), ones), i32x4.dot_i16x8_s(i16x8.add(d2, d3), ones));
  }
  return i32x4.add(
    i32x4.add(i32x4.dot_i16x8_s(d0, ones), i32x4.dot_i16x8_s(d1, ones)),
    i32x4.add(i32x4.dot_i16x8_s(d2, ones), i32x4.dot_i16x8_s(d3, ones)),
  );
}

/** Depth of the products with codes of whole bytes. */
const WHOLE: i32 = 0;

/** Bytes from the sums of a tile to what is kept between the halves of a group. */
const KEPT: usize = 2 * TILE * 16;

/** Integer sums of 16 columns of four rows, as the halves of a group are added: see `addHalves`. */
@inline
function halfSums(w0: v128, w1: v128, w2: v128, w3: v128, x: usize, depth: i32, ones: v128): v128 {
  if (depth == 8 && !ACCUMULATING_DOT) return dots16(w0, w1, w2, w3, x);
  return sum16(w0, w1, w2, w3, x, depth, ones);
}

@inline
function addHalves(first: v128, second: v128, depth: i32, ones: v128): v128 {
  if (depth == 8 && !ACCUMULATING_DOT) return i32x4.dot_i16x8_s(i16x8.add(first, second), ones);
  return i32x4.add(first, second);
}

/**
 * The first 16 columns of a group of both panels times `tokens` consecutive activation blocks, kept beside `sums`: as
 * floats times the scales where each half has its own, else as integers.
 */
@inline
function firstHalf(
  low: usize, high: usize, s0: v128, s1: v128, group: i32, depth: i32, ones: v128, x: usize, tokens: i32, sums: usize,
): void {
  const a0 = v128.load(low);
  const a1 = v128.load(low, 16);
  const a2 = v128.load(low, 32);
  const a3 = v128.load(low, 48);
  const b0 = v128.load(high);
  const b1 = v128.load(high, 16);
  const b2 = v128.load(high, 32);
  const b3 = v128.load(high, 48);
  for (const end = x + <usize>tokens * BYTE_BLOCK; x < end; x += BYTE_BLOCK) {
    let a = halfSums(a0, a1, a2, a3, x, depth, ones);
    let b = halfSums(b0, b1, b2, b3, x, depth, ones);
    if (group == 16) {
      a = f32x4.mul(f32x4.convert_i32x4_s(a), s0);
      b = f32x4.mul(f32x4.convert_i32x4_s(b), s1);
    }
    v128.store(sums, a, KEPT);
    v128.store(sums, b, KEPT + TILE * 16);
    sums += 16;
  }
}

/** The last 16 columns; both halves are added to the sums. `x`: the second half of the first activation block. */
@inline
function secondHalf(
  low: usize, high: usize, s0: v128, s1: v128, m0: v128, m1: v128, n0: v128, n1: v128, group: i32, depth: i32,
  ones: v128, x: usize, tokens: i32, sums: usize,
): void {
  const a0 = v128.load(low);
  const a1 = v128.load(low, 16);
  const a2 = v128.load(low, 32);
  const a3 = v128.load(low, 48);
  const b0 = v128.load(high);
  const b1 = v128.load(high, 16);
  const b2 = v128.load(high, 32);
  const b3 = v128.load(high, 48);
  const shift = negativeShift();
  for (const end = x + <usize>tokens * BYTE_BLOCK; x < end; x += BYTE_BLOCK) {
    const a = halfSums(a0, a1, a2, a3, x, depth, ones);
    const b = halfSums(b0, b1, b2, b3, x, depth, ones);
    const keptA = v128.load(sums, KEPT);
    const keptB = v128.load(sums, KEPT + TILE * 16);
    const scale = v128.load_splat<i32>(x, 16);
    let f = v128.load(sums);
    let g = v128.load(sums, TILE * 16);
    if (group == 32) {
      let i = addHalves(keptA, a, depth, ones);
      let j = addHalves(keptB, b, depth, ones);
      if (depth == WHOLE) {
        const start = shiftSums(shift, x - 16);
        i = i32x4.add(i, start);
        j = i32x4.add(j, start);
      }
      f = madd(f32x4.mul(f32x4.convert_i32x4_s(i), s0), scale, f);
      g = madd(f32x4.mul(f32x4.convert_i32x4_s(j), s1), scale, g);
      if (depth != WHOLE) {
        const minima = v128.load_splat<i32>(x, 20);
        f = nmadd(m0, minima, f);
        g = nmadd(m1, minima, g);
      }
    } else {
      f = madd(madd(f32x4.convert_i32x4_s(a), s0, keptA), scale, f);
      g = madd(madd(f32x4.convert_i32x4_s(b), s1, keptB), scale, g);
      const first = v128.load_splat<i32>(x, 24);
      const last = v128.load_splat<i32>(x, 28);
      f = nmadd(n0, last, nmadd(m0, first, f));
      g = nmadd(n1, last, nmadd(m1, first, g));
    }
    v128.store(sums, f);
    v128.store(sums, g, TILE * 16);
    sums += 16;
  }
}

/** Both panels times a tile of tokens; `xStride`: bytes from a group's activation blocks to the next group's. */
@inline
function multiplyTile(
  panel: usize, k: usize, group: i32, depth: i32, x: usize, xStride: usize, tokens: i32,
): void {
  const ones = i16x8.splat(1);
  const sums = panel + 12 * k;
  const next = k / <usize>group << 4;
  let scales = panel + 8 * k;
  let mins = panel + 10 * k;
  for (const end = panel + 4 * k; panel < end; panel += 128) {
    const high = panel + 4 * k;
    firstHalf(panel, high, v128.load(scales), v128.load(scales + next), group, depth, ones, x, tokens, sums);
    const m0 = v128.load(mins);
    const m1 = v128.load(mins + next);
    if (group == 16) {
      scales += 16;
      mins += 16;
    }
    secondHalf(
      panel + 64, high + 64, v128.load(scales), v128.load(scales + next), m0, m1, v128.load(mins),
      v128.load(mins + next), group, depth, ones, x + 16, tokens, sums,
    );
    scales += 16;
    mins += 16;
    x += xStride;
  }
}

// One function for each kind of inner loop.

function tile32Whole(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 32, WHOLE, x, xStride, tokens);
}

function tile32x8(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 32, 8, x, xStride, tokens);
}

function tile32x4(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 32, 4, x, xStride, tokens);
}

function tile32x1(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 32, 1, x, xStride, tokens);
}

function tile16x4(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 16, 4, x, xStride, tokens);
}

function tile16x2(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 16, 2, x, xStride, tokens);
}

function tile16x1(panel: usize, k: usize, x: usize, xStride: usize, tokens: i32): void {
  multiplyTile(panel, k, 16, 1, x, xStride, tokens);
}

/** How many sums of two products with codes 0 … `steps` fit 16 bits. */
@inline
function sumDepth(steps: i32): i32 {
  return 32767 / (2 * 127 * steps);
}

/** Adds the products of both panels (layout: matmul-quantized.ts) with a tile of tokens to their sums. */
export function addTileBytes(
  panel: usize, k: usize, group: i32, steps: i32, x: usize, xStride: usize, tokens: i32,
): void {
  if (ACCUMULATING_DOT) {
    if (steps > 127) tile32Whole(panel, k, x, xStride, tokens);
    else if (group == 32) tile32x8(panel, k, x, xStride, tokens);
    else tile16x4(panel, k, x, xStride, tokens);
    return;
  }
  const depth = sumDepth(steps);
  if (group == 32) {
    if (depth >= 8) tile32x8(panel, k, x, xStride, tokens);
    else if (depth >= 4) tile32x4(panel, k, x, xStride, tokens);
    else tile32x1(panel, k, x, xStride, tokens);
  } else if (depth >= 4) tile16x4(panel, k, x, xStride, tokens);
  else if (depth >= 2) tile16x2(panel, k, x, xStride, tokens);
  else tile16x1(panel, k, x, xStride, tokens);
}

/** Sums of fours of 16 products. */
@inline
function sumFours(x: v128, w: v128, ones: v128): v128 {
  if (ACCUMULATING_DOT) return addDots(i32x4.splat(0), x, w);
  return i32x4.dot_i16x8_s(pairSums(x, w), ones);
}

/** One unpacked row times one token. */
export function dotRowBytes(
  codes: usize, scales: usize, mins: usize, columns: i32, group: i32, offset: i32, x: usize, xStride: usize,
): f32 {
  const ones = i16x8.splat(1);
  const add = i8x16.splat(<i8>offset);
  const factor = <f32>offset;
  let acc = f32x4.splat(0);
  let minima: f32 = 0;
  for (const end = codes + <usize>columns; codes < end; codes += 32) {
    const i0 = sumFours(v128.load(x), i8x16.add(v128.load(codes), add), ones);
    const i1 = sumFours(v128.load(x, 16), i8x16.add(v128.load(codes, 16), add), ones);
    const xScale = load<f32>(x, 32);
    if (group == 32) {
      const s = load<f32>(scales);
      acc = madd(f32x4.convert_i32x4_s(i32x4.add(i0, i1)), f32x4.splat(s * xScale), acc);
      minima += (mins ? load<f32>(mins) : s * factor) * load<f32>(x, 36);
      scales += 4;
      if (mins) mins += 4;
    } else {
      const s0 = load<f32>(scales);
      const s1 = load<f32>(scales, 4);
      acc = madd(f32x4.convert_i32x4_s(i0), f32x4.splat(s0 * xScale), acc);
      acc = madd(f32x4.convert_i32x4_s(i1), f32x4.splat(s1 * xScale), acc);
      minima += (mins ? load<f32>(mins) : s0 * factor) * load<f32>(x, 40);
      minima += (mins ? load<f32>(mins, 4) : s1 * factor) * load<f32>(x, 44);
      scales += 8;
      if (mins) mins += 8;
    }
    x += xStride;
  }
  return sumLanes(acc) - minima;
}


/** One unpacked row of codes of whole bytes, in groups of 32 without minima, times one token. */
export function dotRowWhole(codes: usize, scales: usize, columns: i32, x: usize, xStride: usize): f32 {
  const shift = i8x16.splat(<i8>codeShift);
  let acc = f32x4.splat(0);
  for (const end = codes + <usize>columns; codes < end; codes += 32) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    let sums = addDots(i32x4.splat(0), x0, shifted(v128.load(codes)));
    sums = addDots(sums, x1, shifted(v128.load(codes, 16)));
    sums = i32x4.sub(sums, addDots(addDots(i32x4.splat(0), x0, shift), x1, shift));
    acc = madd(f32x4.convert_i32x4_s(sums), f32x4.splat(load<f32>(scales) * load<f32>(x, 32)), acc);
    x += xStride;
    scales += 4;
  }
  return sumLanes(acc);
}
