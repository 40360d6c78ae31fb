import { exp4, madd, sumLanes } from './math';
import { unpackFloat } from './unpack/index';

// Attention in blocks of keys with a running maximum and sum (Milakov & Gimelshein 2018), so that no full row of
// scores is ever held. One call serves the query heads that share one key/value head, for a run of tokens.

const KEYS: i32 = 32;
const KEY_BYTES: usize = 128;
const TYPE_F32: i32 = 0;

/** Cache rows from floats: type 0 stores f32, type 1 f16 (round to nearest even, overflow to infinity). */
export function storeCache(type: i32, x: usize, target: usize, n: i32): void {
  if (type == TYPE_F32) {
    memory.copy(target, x, <usize>n << 2);
    return;
  }
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    const v = v128.load(x);
    const magnitude = v128.and(v, i32x4.splat(0x7fffffff));
    const sign = i32x4.shr_u(v128.and(v, i32x4.splat(0x80000000)), 16);
    // Normal results: rebias the exponent and round the 13 dropped bits to even.
    const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
    const normal = i32x4.shr_u(
      i32x4.add(i32x4.add(magnitude, odd), i32x4.splat(0xfff - (112 << 23))), 13);
    // Below 2^-14 adding 0.5 aligns the mantissa to f16's subnormal step, with the hardware's own rounding.
    const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(126 << 23));
    let half = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(113 << 23)));
    half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)));
    half = v128.bitselect(i32x4.splat(0x7e00), half, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
    half = v128.or(half, sign);
    v128.store64_lane(target, i16x8.narrow_i32x4_u(half, half), 0);
    target += 8;
  }
}

/** f32[32][dim] to f32[dim][32]. */
function transposeKeys(source: usize, target: usize, dim: i32): void {
  const stride = <usize>dim << 2;
  for (let j: usize = 0; j < <usize>KEYS; j += 4) {
    const row = source + j * stride;
    for (let d: usize = 0; d < stride; d += 16) {
      const a = v128.load(row + d);
      const b = v128.load(row + stride + d);
      const c = v128.load(row + 2 * stride + d);
      const e = v128.load(row + 3 * stride + d);
      const lowAB = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const highAB = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const lowCE = v128.shuffle<i32>(c, e, 0, 4, 1, 5);
      const highCE = v128.shuffle<i32>(c, e, 2, 6, 3, 7);
      const out = target + (d >> 2) * KEY_BYTES + (j << 2);
      v128.store(out, v128.shuffle<i64>(lowAB, lowCE, 0, 2));
      v128.store(out + KEY_BYTES, v128.shuffle<i64>(lowAB, lowCE, 1, 3));
      v128.store(out + 2 * KEY_BYTES, v128.shuffle<i64>(highAB, highCE, 0, 2));
      v128.store(out + 3 * KEY_BYTES, v128.shuffle<i64>(highAB, highCE, 1, 3));
    }
  }
}

/** Scores of one query against 32 keys, to `scores`. */
function scoreBlock(q: usize, keys: usize, dim: i32, scores: usize): void {
  let s0 = f32x4.splat(0);
  let s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (const end = q + (<usize>dim << 2); q < end; q += 4) {
    const x = v128.load_splat<f32>(q);
    s0 = madd(x, v128.load(keys), s0);
    s1 = madd(x, v128.load(keys, 16), s1);
    s2 = madd(x, v128.load(keys, 32), s2);
    s3 = madd(x, v128.load(keys, 48), s3);
    s4 = madd(x, v128.load(keys, 64), s4);
    s5 = madd(x, v128.load(keys, 80), s5);
    s6 = madd(x, v128.load(keys, 96), s6);
    s7 = madd(x, v128.load(keys, 112), s7);
    keys += KEY_BYTES;
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

/** out = out × factor + Σ_j p[j] v[j], over `count` values of `dim` floats. */
function addValues(p: usize, v: usize, count: i32, dim: i32, out: usize, factor: f32): void {
  const stride = <usize>dim << 2;
  const f = f32x4.splat(factor);
  const pEnd = p + (<usize>count << 2);
  let d: usize = 0;
  for (; d + 64 <= stride; d += 64) {
    let a = f32x4.mul(f, v128.load(out + d));
    let b = f32x4.mul(f, v128.load(out + d, 16));
    let c = f32x4.mul(f, v128.load(out + d, 32));
    let e = f32x4.mul(f, v128.load(out + d, 48));
    let row = v + d;
    for (let j = p; j < pEnd; j += 4) {
      const x = v128.load_splat<f32>(j);
      a = madd(x, v128.load(row), a);
      b = madd(x, v128.load(row, 16), b);
      c = madd(x, v128.load(row, 32), c);
      e = madd(x, v128.load(row, 48), e);
      row += stride;
    }
    v128.store(out + d, a);
    v128.store(out + d, b, 16);
    v128.store(out + d, c, 32);
    v128.store(out + d, e, 48);
  }
  for (; d < stride; d += 16) {
    let a = f32x4.mul(f, v128.load(out + d));
    let row = v + d;
    for (let j = p; j < pEnd; j += 4) {
      a = madd(v128.load_splat<f32>(j), v128.load(row), a);
      row += stride;
    }
    v128.store(out + d, a);
  }
}

/** Folds one block of keys into one query row; stats = (maximum, sum). */
function foldBlock(
  q: usize, keys: usize, values: usize, visible: i32, dim: i32, out: usize, stats: usize, scores: usize,
): void {
  scoreBlock(q, keys, dim, scores);
  for (let j = visible; j < KEYS; j++) store<f32>(scores + (<usize>j << 2), -Infinity);
  let m = v128.load(scores);
  for (let j: usize = 16; j < KEY_BYTES; j += 16) m = f32x4.max(m, v128.load(scores + j));
  m = f32x4.max(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  const before = load<f32>(stats);
  const largest = max(before, max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1)));
  const shift = f32x4.splat(largest);
  let total = f32x4.splat(0);
  for (let j: usize = 0; j < KEY_BYTES; j += 16) {
    const e = exp4(f32x4.sub(v128.load(scores + j), shift));
    v128.store(scores + j, e);
    total = f32x4.add(total, e);
  }
  const factor = f32x4.extract_lane(exp4(f32x4.splat(before - largest)), 0);
  store<f32>(stats, largest);
  store<f32>(stats, load<f32>(stats, 4) * factor + sumLanes(total), 4);
  addValues(scores, values, visible, dim, out, factor);
}

/**
 * Causal attention of `tokens` queries × `heads` heads over one key/value head.
 * Query t sees keys 0 … past + t. Queries must already carry the 1/sqrt(dim) factor.
 * @param type element type of the cache: 0 f32, 1 f16
 * @param q f32: token t, head h at q + t × qStride + h × dim × 4; out likewise with outStride
 * @param k, v cache rows of this head, [positions][dim]
 * @param scratch (3 × 32 × dim + 32 + 2 × heads × tokens) floats
 */
export function attend(
  type: i32, q: usize, qStride: usize, heads: i32, tokens: i32, dim: i32,
  k: usize, v: usize, past: i32, out: usize, outStride: usize, scratch: usize,
): void {
  const headBytes = <usize>dim << 2;
  const rowBytes = type == TYPE_F32 ? headBytes : headBytes >> 1;
  const blockBytes = headBytes * <usize>KEYS;
  const rows = scratch;
  const keys = scratch + blockBytes;
  const values = scratch + 2 * blockBytes;
  const scores = scratch + 3 * blockBytes;
  const stats = scores + KEY_BYTES;

  for (let t: usize = 0; t < <usize>tokens; t++) memory.fill(out + t * outStride, 0, <usize>heads * headBytes);
  for (let i: i32 = 0; i < heads * tokens; i++) {
    store<f32>(stats + (<usize>i << 3), -Infinity);
    store<f32>(stats + (<usize>i << 3), 0, 4);
  }
  const last = past + tokens;
  for (let j: i32 = 0; j < last; j += KEYS) {
    const count = min(KEYS, last - j);
    unpackFloat(type, k + <usize>j * rowBytes, rows, count * dim);
    if (count < KEYS) memory.fill(rows + <usize>count * headBytes, 0, <usize>(KEYS - count) * headBytes);
    transposeKeys(rows, keys, dim);
    unpackFloat(type, v + <usize>j * rowBytes, values, count * dim);
    for (let t: i32 = 0; t < tokens; t++) {
      const visible = min(count, past + t + 1 - j);
      if (visible <= 0) continue;
      for (let h: i32 = 0; h < heads; h++) {
        foldBlock(
          q + <usize>t * qStride + <usize>h * headBytes, keys, values, visible, dim,
          out + <usize>t * outStride + <usize>h * headBytes,
          stats + (<usize>(t * heads + h) << 3), scores,
        );
      }
    }
  }
  for (let t: i32 = 0; t < tokens; t++) {
    for (let h: i32 = 0; h < heads; h++) {
      const row = out + <usize>t * outStride + <usize>h * headBytes;
      const inverse = f32x4.splat(1 / load<f32>(stats + (<usize>(t * heads + h) << 3), 4));
      for (let d: usize = 0; d < headBytes; d += 16) v128.store(row + d, f32x4.mul(v128.load(row + d), inverse));
    }
  }
}
