import { madd, sumLanes, sumLanesOf4 } from './math';
import { unpackFloat } from './unpack/index';

// Products of F32, F16 and BF16 rows with float activations. Every product is the sum of four running sums (columns
// i, i + 4, …), whatever the number of tokens: a token gets the same bits in every batch.

const ROWS: i32 = 8;
const TYPE_F32: i32 = 0;
const TYPE_BF16: i32 = 30;

/** Four weights of a row of floats (T f32) or bfloat16 (T u16). */
@inline
function weights4<T>(w: usize): v128 {
  if (isFloat<T>()) return v128.load(w);
  return i32x4.shl(v128.load_ext<u16>(w), 16);
}

@inline
function storeSums(y: usize, sums: v128, accumulate: bool): void {
  v128.store(y, accumulate ? f32x4.add(v128.load(y), sums) : sums);
}

/** Eight rows times one token. */
function rowsTimes1<T>(w: usize, rowBytes: usize, x: usize, columns: i32, y: usize, accumulate: bool): void {
  const step = <usize>4 * sizeof<T>();
  let a = f32x4.splat(0);
  let b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  let w1 = w + rowBytes;
  let w2 = w1 + rowBytes;
  let w3 = w2 + rowBytes;
  let w4 = w3 + rowBytes;
  let w5 = w4 + rowBytes;
  let w6 = w5 + rowBytes;
  let w7 = w6 + rowBytes;
  for (const end = x + (<usize>columns << 2); x < end; x += 16) {
    const v = v128.load(x);
    a = madd(weights4<T>(w), v, a);
    b = madd(weights4<T>(w1), v, b);
    c = madd(weights4<T>(w2), v, c);
    d = madd(weights4<T>(w3), v, d);
    e = madd(weights4<T>(w4), v, e);
    f = madd(weights4<T>(w5), v, f);
    g = madd(weights4<T>(w6), v, g);
    h = madd(weights4<T>(w7), v, h);
    w += step;
    w1 += step;
    w2 += step;
    w3 += step;
    w4 += step;
    w5 += step;
    w6 += step;
    w7 += step;
  }
  storeSums(y, sumLanesOf4(a, b, c, d), accumulate);
  storeSums(y + 16, sumLanesOf4(e, f, g, h), accumulate);
}

/** Four rows of floats times three tokens. */
function rowsTimes3(w: usize, columns: i32, x: usize, y: usize, yStride: usize, accumulate: bool): void {
  const rowBytes = <usize>columns << 2;
  let a0 = f32x4.splat(0);
  let a1 = a0, a2 = a0, b0 = a0, b1 = a0, b2 = a0, c0 = a0, c1 = a0, c2 = a0, d0 = a0, d1 = a0, d2 = a0;
  let w1 = w + rowBytes;
  let w2 = w1 + rowBytes;
  let w3 = w2 + rowBytes;
  let x1 = x + rowBytes;
  let x2 = x1 + rowBytes;
  const end = x1;
  for (; x + 32 <= end; x += 32) {
    let v0 = v128.load(x);
    let v1 = v128.load(x1);
    let v2 = v128.load(x2);
    let row = v128.load(w);
    a0 = madd(row, v0, a0);
    a1 = madd(row, v1, a1);
    a2 = madd(row, v2, a2);
    row = v128.load(w1);
    b0 = madd(row, v0, b0);
    b1 = madd(row, v1, b1);
    b2 = madd(row, v2, b2);
    row = v128.load(w2);
    c0 = madd(row, v0, c0);
    c1 = madd(row, v1, c1);
    c2 = madd(row, v2, c2);
    row = v128.load(w3);
    d0 = madd(row, v0, d0);
    d1 = madd(row, v1, d1);
    d2 = madd(row, v2, d2);
    v0 = v128.load(x, 16);
    v1 = v128.load(x1, 16);
    v2 = v128.load(x2, 16);
    row = v128.load(w, 16);
    a0 = madd(row, v0, a0);
    a1 = madd(row, v1, a1);
    a2 = madd(row, v2, a2);
    row = v128.load(w1, 16);
    b0 = madd(row, v0, b0);
    b1 = madd(row, v1, b1);
    b2 = madd(row, v2, b2);
    row = v128.load(w2, 16);
    c0 = madd(row, v0, c0);
    c1 = madd(row, v1, c1);
    c2 = madd(row, v2, c2);
    row = v128.load(w3, 16);
    d0 = madd(row, v0, d0);
    d1 = madd(row, v1, d1);
    d2 = madd(row, v2, d2);
    w += 32;
    w1 += 32;
    w2 += 32;
    w3 += 32;
    x1 += 32;
    x2 += 32;
  }
  if (x < end) {
    const v0 = v128.load(x);
    const v1 = v128.load(x1);
    const v2 = v128.load(x2);
    let row = v128.load(w);
    a0 = madd(row, v0, a0);
    a1 = madd(row, v1, a1);
    a2 = madd(row, v2, a2);
    row = v128.load(w1);
    b0 = madd(row, v0, b0);
    b1 = madd(row, v1, b1);
    b2 = madd(row, v2, b2);
    row = v128.load(w2);
    c0 = madd(row, v0, c0);
    c1 = madd(row, v1, c1);
    c2 = madd(row, v2, c2);
    row = v128.load(w3);
    d0 = madd(row, v0, d0);
    d1 = madd(row, v1, d1);
    d2 = madd(row, v2, d2);
  }
  storeSums(y, sumLanesOf4(a0, b0, c0, d0), accumulate);
  storeSums(y + yStride, sumLanesOf4(a1, b1, c1, d1), accumulate);
  storeSums(y + 2 * yStride, sumLanesOf4(a2, b2, c2, d2), accumulate);
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
    if (count == ROWS && tokens == 1 && type == TYPE_BF16) {
      rowsTimes1<u16>(w, rowBytes, x, columns, y, accumulate);
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
        for (; t + 3 <= tokens; t += 3) {
          rowsTimes3(floats, columns, token, out, yStride, accumulate);
          rowsTimes3(floats + 4 * xStride, columns, token, out + 16, yStride, accumulate);
          token += 3 * xStride;
          out += 3 * yStride;
        }
      }
      for (; t < tokens; t++) {
        if (count == ROWS) rowsTimes1<f32>(floats, xStride, token, columns, out, accumulate);
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
