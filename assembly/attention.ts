import { EXP_CONSTANTS_BYTES, expShifted, madd, storeExpConstants } from './math';
import { transpose4 } from './panel';
import { unpackFloat } from './unpack/index';

// Attention in blocks of keys with a running maximum and sum (Milakov & Gimelshein 2018), so that no full row of
// scores is ever held. One call serves the query heads that share one key/value head, for a run of tokens.
//
// Rows (a head of a token each, token after token) go in quads, a lane each: keys and values are read once for four
// rows, and maxima, exponentials and sums need no work across lanes.
//
// Scratch of one call, for Q quads:
//   f32[32][dim] keys, f32[32][dim] values, f32[32][4] scores, exp constants,
//   f32[Q][dim][4] queries, f32[Q][4][dim] weighted sums of values, f32[Q][2][4] maxima and sums of weights

const KEYS: i32 = 32;
const TYPE_F32: i32 = 0;

/** Scores of four queries against eight keys to f32[8][4]. */
@inline
function scoreEight(queries: usize, key: usize, keyBytes: usize, scores: usize): void {
  let k1 = key + keyBytes;
  let k2 = k1 + keyBytes;
  let k3 = k2 + keyBytes;
  let k4 = k3 + keyBytes;
  let k5 = k4 + keyBytes;
  let k6 = k5 + keyBytes;
  let k7 = k6 + keyBytes;
  let s0 = f32x4.splat(0);
  let s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (const end = key + keyBytes; key < end; key += 16) {
    let q = v128.load(queries);
    s0 = madd(q, v128.load_splat<f32>(key), s0);
    s1 = madd(q, v128.load_splat<f32>(k1), s1);
    s2 = madd(q, v128.load_splat<f32>(k2), s2);
    s3 = madd(q, v128.load_splat<f32>(k3), s3);
    s4 = madd(q, v128.load_splat<f32>(k4), s4);
    s5 = madd(q, v128.load_splat<f32>(k5), s5);
    s6 = madd(q, v128.load_splat<f32>(k6), s6);
    s7 = madd(q, v128.load_splat<f32>(k7), s7);
    q = v128.load(queries, 16);
    s0 = madd(q, v128.load_splat<f32>(key, 4), s0);
    s1 = madd(q, v128.load_splat<f32>(k1, 4), s1);
    s2 = madd(q, v128.load_splat<f32>(k2, 4), s2);
    s3 = madd(q, v128.load_splat<f32>(k3, 4), s3);
    s4 = madd(q, v128.load_splat<f32>(k4, 4), s4);
    s5 = madd(q, v128.load_splat<f32>(k5, 4), s5);
    s6 = madd(q, v128.load_splat<f32>(k6, 4), s6);
    s7 = madd(q, v128.load_splat<f32>(k7, 4), s7);
    q = v128.load(queries, 32);
    s0 = madd(q, v128.load_splat<f32>(key, 8), s0);
    s1 = madd(q, v128.load_splat<f32>(k1, 8), s1);
    s2 = madd(q, v128.load_splat<f32>(k2, 8), s2);
    s3 = madd(q, v128.load_splat<f32>(k3, 8), s3);
    s4 = madd(q, v128.load_splat<f32>(k4, 8), s4);
    s5 = madd(q, v128.load_splat<f32>(k5, 8), s5);
    s6 = madd(q, v128.load_splat<f32>(k6, 8), s6);
    s7 = madd(q, v128.load_splat<f32>(k7, 8), s7);
    q = v128.load(queries, 48);
    s0 = madd(q, v128.load_splat<f32>(key, 12), s0);
    s1 = madd(q, v128.load_splat<f32>(k1, 12), s1);
    s2 = madd(q, v128.load_splat<f32>(k2, 12), s2);
    s3 = madd(q, v128.load_splat<f32>(k3, 12), s3);
    s4 = madd(q, v128.load_splat<f32>(k4, 12), s4);
    s5 = madd(q, v128.load_splat<f32>(k5, 12), s5);
    s6 = madd(q, v128.load_splat<f32>(k6, 12), s6);
    s7 = madd(q, v128.load_splat<f32>(k7, 12), s7);
    queries += 64;
    k1 += 16;
    k2 += 16;
    k3 += 16;
    k4 += 16;
    k5 += 16;
    k6 += 16;
    k7 += 16;
  }
  v128.store(scores, s0);
  v128.store(scores, s1, 16);
  v128.store(scores, s2, 32);
  v128.store(scores, s3, 48);
  v128.store(scores, s4, 64);
  v128.store(scores, s5, 80);
  v128.store(scores, s6, 96);
  v128.store(scores, s7, 112);
}

/** sums[r] = sums[r] × factors[r] + Σ_j p[j][r] v[j], for four rows and `count` values. */
function addValues(p: usize, v: usize, count: i32, rowBytes: usize, sums: usize, factors: usize): void {
  const f0 = v128.load_splat<f32>(factors);
  const f1 = v128.load_splat<f32>(factors, 4);
  const f2 = v128.load_splat<f32>(factors, 8);
  const f3 = v128.load_splat<f32>(factors, 12);
  const pEnd = p + (<usize>count << 4);
  let s0 = sums;
  let s1 = s0 + rowBytes;
  let s2 = s1 + rowBytes;
  let s3 = s2 + rowBytes;
  const end = s1;
  for (; s0 + 32 <= end; s0 += 32) {
    let a0 = f32x4.mul(f0, v128.load(s0));
    let b0 = f32x4.mul(f0, v128.load(s0, 16));
    let a1 = f32x4.mul(f1, v128.load(s1));
    let b1 = f32x4.mul(f1, v128.load(s1, 16));
    let a2 = f32x4.mul(f2, v128.load(s2));
    let b2 = f32x4.mul(f2, v128.load(s2, 16));
    let a3 = f32x4.mul(f3, v128.load(s3));
    let b3 = f32x4.mul(f3, v128.load(s3, 16));
    let row = v;
    for (let j = p; j < pEnd; j += 16) {
      const a = v128.load(row);
      const b = v128.load(row, 16);
      let x = v128.load_splat<f32>(j);
      a0 = madd(x, a, a0);
      b0 = madd(x, b, b0);
      x = v128.load_splat<f32>(j, 4);
      a1 = madd(x, a, a1);
      b1 = madd(x, b, b1);
      x = v128.load_splat<f32>(j, 8);
      a2 = madd(x, a, a2);
      b2 = madd(x, b, b2);
      x = v128.load_splat<f32>(j, 12);
      a3 = madd(x, a, a3);
      b3 = madd(x, b, b3);
      row += rowBytes;
    }
    v128.store(s0, a0);
    v128.store(s0, b0, 16);
    v128.store(s1, a1);
    v128.store(s1, b1, 16);
    v128.store(s2, a2);
    v128.store(s2, b2, 16);
    v128.store(s3, a3);
    v128.store(s3, b3, 16);
    v += 32;
    s1 += 32;
    s2 += 32;
    s3 += 32;
  }
  for (; s0 < end; s0 += 16) {
    let a0 = f32x4.mul(f0, v128.load(s0));
    let a1 = f32x4.mul(f1, v128.load(s1));
    let a2 = f32x4.mul(f2, v128.load(s2));
    let a3 = f32x4.mul(f3, v128.load(s3));
    let row = v;
    for (let j = p; j < pEnd; j += 16) {
      const a = v128.load(row);
      a0 = madd(v128.load_splat<f32>(j), a, a0);
      a1 = madd(v128.load_splat<f32>(j, 4), a, a1);
      a2 = madd(v128.load_splat<f32>(j, 8), a, a2);
      a3 = madd(v128.load_splat<f32>(j, 12), a, a3);
      row += rowBytes;
    }
    v128.store(s0, a0);
    v128.store(s1, a1);
    v128.store(s2, a2);
    v128.store(s3, a3);
    v += 16;
    s1 += 16;
    s2 += 16;
    s3 += 16;
  }
}

/** Scores of keys that a lane does not see become −∞: those after key `limits[lane]` of the block. */
function hide(scores: usize, from: i32, count: i32, limits: v128): void {
  const hidden = f32x4.splat(-Infinity);
  for (let j = from; j < count; j++) {
    const at = scores + (<usize>j << 4);
    v128.store(at, v128.bitselect(hidden, v128.load(at), i32x4.gt_s(i32x4.splat(j), limits)));
  }
}

/** `count` scores to weights relative to the largest so far; stats: maxima and sums, whose scale falls by `factors`. */
function weigh(scores: usize, count: i32, stats: usize, factors: usize, constants: usize): void {
  const end = scores + (<usize>count << 4);
  const before = v128.load(stats);
  let largest = before;
  for (let at = scores; at < end; at += 16) largest = f32x4.pmax(largest, v128.load(at));
  v128.store(stats, largest);
  v128.store(factors, before);
  const factor = expShifted(factors, factors + 16, largest, constants);
  const total = expShifted(scores, end, largest, constants);
  v128.store(stats, madd(v128.load(stats, 16), factor, total), 16);
}

/** Address of a row's queries or results; rows past the last are the last. */
@inline
function rowAt(base: usize, stride: usize, heads: i32, headBytes: usize, row: i32, rows: i32): usize {
  const r = min(row, rows - 1);
  return base + <usize>(r / heads) * stride + <usize>(r % heads) * headBytes;
}

/**
 * Causal attention of `tokens` queries × `heads` heads over one key/value head.
 * Query t sees keys 0 … past + t. Queries must already carry the 1/sqrt(dim) factor.
 * @param type element type of the cache: 0 f32, 1 f16
 * @param q f32: token t, head h at q + t × qStride + h × dim × 4; out likewise with outStride
 * @param k, v cache rows of this head, [positions][dim]; dim a multiple of 4
 * @param scratch 64 × dim + 192 + ⌈heads × tokens / 4⌉ × (8 × dim + 8) floats
 */
export function attend(
  type: i32, q: usize, qStride: usize, heads: i32, tokens: i32, dim: i32,
  k: usize, v: usize, past: i32, out: usize, outStride: usize, scratch: usize,
): void {
  const headBytes = <usize>dim << 2;
  const rowBytes = type == TYPE_F32 ? headBytes : headBytes >> 1;
  const keyCopies = scratch;
  const valueCopies = keyCopies + headBytes * <usize>KEYS;
  const scores = valueCopies + headBytes * <usize>KEYS;
  const factors = scores + 16 * <usize>KEYS;
  const constants = factors + 16;
  const quads = constants + EXP_CONSTANTS_BYTES;
  const quadBytes = (headBytes << 3) + 32;
  const rows = heads * tokens;

  storeExpConstants(constants);
  for (let row: i32 = 0; row < rows; row += 4) {
    const quad = quads + <usize>(row >> 2) * quadBytes;
    for (let r: i32 = 0; r < 4; r++) {
      memory.copy(keyCopies + <usize>r * headBytes, rowAt(q, qStride, heads, headBytes, row + r, rows), headBytes);
    }
    transpose4(keyCopies, headBytes, quad);
    const sums = quad + 4 * headBytes;
    memory.fill(sums, 0, 4 * headBytes + 32);
    v128.store(sums + 4 * headBytes, f32x4.splat(-Infinity));
  }

  const last = past + tokens;
  for (let j: i32 = 0; j < last; j += KEYS) {
    const count = min(KEYS, last - j);
    let keys = k + <usize>j * rowBytes;
    let values = v + <usize>j * rowBytes;
    if (type != TYPE_F32 || count < KEYS) {
      // Keys are scored eight at a time: those that are missing must at least be numbers.
      memory.fill(keyCopies + <usize>count * headBytes, 0, <usize>(KEYS - count) * headBytes);
      unpackFloat(type, keys, keyCopies, count * dim);
      unpackFloat(type, values, valueCopies, count * dim);
      keys = keyCopies;
      values = valueCopies;
    }
    for (let row: i32 = 0; row < rows; row += 4) {
      const quad = quads + <usize>(row >> 2) * quadBytes;
      const firstToken = row / heads;
      const visible = min(count, past + min(row + 3, rows - 1) / heads + 1 - j);
      if (visible <= 0) continue;
      const scored = (visible + 7) & ~7;
      for (let key: i32 = 0; key < scored; key += 8) {
        scoreEight(quad, keys + <usize>key * headBytes, headBytes, scores + (<usize>key << 4));
      }
      const seenByAll = max(0, past + firstToken + 1 - j);
      if (seenByAll < visible) {
        let limits = i32x4.splat(past - j + firstToken);
        limits = i32x4.replace_lane(limits, 1, past - j + min(row + 1, rows - 1) / heads);
        limits = i32x4.replace_lane(limits, 2, past - j + min(row + 2, rows - 1) / heads);
        limits = i32x4.replace_lane(limits, 3, past - j + min(row + 3, rows - 1) / heads);
        hide(scores, seenByAll, visible, limits);
      }
      const sums = quad + 4 * headBytes;
      weigh(scores, visible, sums + 4 * headBytes, factors, constants);
      addValues(scores, values, visible, headBytes, sums, factors);
    }
  }

  for (let row: i32 = 0; row < rows; row += 4) {
    const sums = quads + <usize>(row >> 2) * quadBytes + 4 * headBytes;
    for (let r: i32 = 0; r < min(4, rows - row); r++) {
      const inverse = f32x4.splat(1 / load<f32>(sums + 4 * headBytes + (<usize>r << 2), 16));
      const from = sums + <usize>r * headBytes;
      const to = rowAt(out, outStride, heads, headBytes, row + r, rows);
      for (let d: usize = 0; d < headBytes; d += 16) v128.store(to + d, f32x4.mul(v128.load(from + d), inverse));
    }
  }
}
