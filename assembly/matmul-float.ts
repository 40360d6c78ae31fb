import { madd, sumLanes, sumLanesOf4 } from './math';
import { unpackFloat } from './unpack/index';

// Products of F32, F16 and BF16 rows with float activations. Every product is the sum of four running sums (columns
// i, i + 4, …), whatever the number of tokens: a token gets the same bits in every batch.

const ROWS: i32 = 8;
/** Tokens that share every load of a weight. */
const TILE_TOKENS: i32 = 4;
const TYPE_F32: i32 = 0;
const TYPE_BF16: i32 = 30;

/** `sums` and the products of eight bfloat16 weights with as many columns, in order. */
@inline
function addEight(w: usize, zero: v128, x0: v128, x1: v128, sums: v128): v128 {
  const v = v128.load(w);
  const first = madd(v128.shuffle<u16>(zero, v, 0, 8, 1, 9, 2, 10, 3, 11), x0, sums);
  return madd(v128.shuffle<u16>(zero, v, 4, 12, 5, 13, 6, 14, 7, 15), x1, first);
}

/** The same for four. */
@inline
function addFour(w: usize, x: v128, sums: v128): v128 {
  return madd(i32x4.shl(v128.load_ext<u16>(w), 16), x, sums);
}

@inline
function storeSums(y: usize, sums: v128, accumulate: bool): void {
  v128.store(y, accumulate ? f32x4.add(v128.load(y), sums) : sums);
}

/** Eight rows of bfloat16 times one token. */
function bfloatsTimes1(w: usize, rowBytes: usize, x: usize, columns: i32, y: usize, accumulate: bool): void {
  let a = f32x4.splat(0);
  let b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  let w1 = w + rowBytes;
  let w2 = w1 + rowBytes;
  let w3 = w2 + rowBytes;
  let w4 = w3 + rowBytes;
  let w5 = w4 + rowBytes;
  let w6 = w5 + rowBytes;
  let w7 = w6 + rowBytes;
  const zero = i32x4.splat(0);
  const end = x + (<usize>columns << 2);
  for (; x + 32 <= end; x += 32) {
    const x0 = v128.load(x);
    const x1 = v128.load(x, 16);
    a = addEight(w, zero, x0, x1, a);
    b = addEight(w1, zero, x0, x1, b);
    c = addEight(w2, zero, x0, x1, c);
    d = addEight(w3, zero, x0, x1, d);
    e = addEight(w4, zero, x0, x1, e);
    f = addEight(w5, zero, x0, x1, f);
    g = addEight(w6, zero, x0, x1, g);
    h = addEight(w7, zero, x0, x1, h);
    w += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
    w4 += 16;
    w5 += 16;
    w6 += 16;
    w7 += 16;
  }
  if (x < end) {
    const v = v128.load(x);
    a = addFour(w, v, a);
    b = addFour(w1, v, b);
    c = addFour(w2, v, c);
    d = addFour(w3, v, d);
    e = addFour(w4, v, e);
    f = addFour(w5, v, f);
    g = addFour(w6, v, g);
    h = addFour(w7, v, h);
  }
  storeSums(y, sumLanesOf4(a, b, c, d), accumulate);
  storeSums(y + 16, sumLanesOf4(e, f, g, h), accumulate);
}

/** Eight rows of floats times one token. */
function floatsTimes1(w: usize, x: usize, columns: i32, y: usize, accumulate: bool): void {
  const rowBytes = <usize>columns << 2;
  let a = f32x4.splat(0);
  let b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  let w1 = w + rowBytes;
  let w2 = w1 + rowBytes;
  let w3 = w2 + rowBytes;
  let w4 = w3 + rowBytes;
  let w5 = w4 + rowBytes;
  let w6 = w5 + rowBytes;
  let w7 = w6 + rowBytes;
  for (const end = x + rowBytes; x < end; x += 16) {
    const v = v128.load(x);
    a = madd(v128.load(w), v, a);
    b = madd(v128.load(w1), v, b);
    c = madd(v128.load(w2), v, c);
    d = madd(v128.load(w3), v, d);
    e = madd(v128.load(w4), v, e);
    f = madd(v128.load(w5), v, f);
    g = madd(v128.load(w6), v, g);
    h = madd(v128.load(w7), v, h);
    w += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
    w4 += 16;
    w5 += 16;
    w6 += 16;
    w7 += 16;
  }
  storeSums(y, sumLanesOf4(a, b, c, d), accumulate);
  storeSums(y + 16, sumLanesOf4(e, f, g, h), accumulate);
}

/** Sums of two rows (a, b) with two tokens (0, 1), to two rows' places of each token. */
@inline
function storePairs(y: usize, yStride: usize, a0: v128, b0: v128, a1: v128, b1: v128, accumulate: bool): void {
  let sums = sumLanesOf4(a0, b0, a1, b1);
  const next = y + yStride;
  if (accumulate) sums = f32x4.add(v128.load64_lane(next, v128.load64_zero(y), 1), sums);
  v128.store64_lane(y, sums, 0);
  v128.store64_lane(next, sums, 1);
}

/** Two rows of floats times four tokens: what fits into registers, sums included. */
function rowsTimes4(w: usize, columns: i32, x: usize, y: usize, yStride: usize, accumulate: bool): void {
  const rowBytes = <usize>columns << 2;
  let a0 = f32x4.splat(0);
  let a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let w1 = w + rowBytes;
  let x1 = x + rowBytes;
  let x2 = x1 + rowBytes;
  let x3 = x2 + rowBytes;
  for (const end = x1; x < end; x += 16) {
    const first = v128.load(w);
    const second = v128.load(w1);
    let v = v128.load(x);
    a0 = madd(first, v, a0);
    b0 = madd(second, v, b0);
    v = v128.load(x1);
    a1 = madd(first, v, a1);
    b1 = madd(second, v, b1);
    v = v128.load(x2);
    a2 = madd(first, v, a2);
    b2 = madd(second, v, b2);
    v = v128.load(x3);
    a3 = madd(first, v, a3);
    b3 = madd(second, v, b3);
    w += 16;
    w1 += 16;
    x1 += 16;
    x2 += 16;
    x3 += 16;
  }
  storePairs(y, yStride, a0, b0, a1, b1, accumulate);
  storePairs(y + 2 * yStride, yStride, a2, b2, a3, b3, accumulate);
}

/** One row of floats times one token. */
function dotFloats(w: usize, x: usize, columns: i32): f32 {
  let sum = f32x4.splat(0);
  for (const end = w + (<usize>columns << 2); w < end; w += 16) {
    sum = madd(v128.load(w), v128.load(x), sum);
    x += 16;
  }
  return sumLanes(sum);
}

/**
 * y[t][r] (+)= Σ_k w[r][k] x[t][k] for `rows` consecutive F32, F16 or BF16 rows (columns a multiple of 4).
 * @param x f32[tokens][columns]
 * @param y f32, `yStride` bytes between tokens
 * @param scratch 32 × columns bytes
 */
export function matmulFloat(
  type: i32, w: usize, rowBytes: usize, rows: i32, columns: i32,
  x: usize, tokens: i32, y: usize, yStride: usize, accumulate: bool, scratch: usize,
): void {
  const xStride = <usize>columns << 2;
  for (; rows > 0; rows -= ROWS) {
    const count = min(ROWS, rows);
    if (count == ROWS && tokens < TILE_TOKENS && type == TYPE_BF16) {
      for (let t: usize = 0; t < <usize>tokens; t++) {
        bfloatsTimes1(w, rowBytes, x + t * xStride, columns, y + t * yStride, accumulate);
      }
    } else {
      let floats = w;
      if (type != TYPE_F32) {
        for (let r: usize = 0; r < <usize>count; r++) {
          unpackFloat(type, w + r * rowBytes, scratch + r * xStride, columns);
        }
        floats = scratch;
      }
      let token = x;
      let out = y;
      let t: i32 = 0;
      if (count == ROWS) {
        for (; t + TILE_TOKENS <= tokens; t += TILE_TOKENS) {
          for (let r: usize = 0; r < <usize>ROWS; r += 2) {
            rowsTimes4(floats + r * xStride, columns, token, out + (r << 2), yStride, accumulate);
          }
          token += <usize>TILE_TOKENS * xStride;
          out += <usize>TILE_TOKENS * yStride;
        }
      }
      for (; t < tokens; t++) {
        if (count == ROWS) floatsTimes1(floats, token, columns, out, accumulate);
        else {
          for (let r: usize = 0; r < <usize>count; r++) {
            const value = dotFloats(floats + r * xStride, token, columns);
            const at = out + (r << 2);
            store<f32>(at, accumulate ? load<f32>(at) + value : value);
          }
        }
        token += xStride;
        out += yStride;
      }
    }
    w += <usize>ROWS * rowBytes;
    y += 4 * ROWS;
  }
}
