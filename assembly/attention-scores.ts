import { loadFour } from './cache';
import { madd, sumLanes, sumLanesOf4 } from './math';

// Scores of queries against keys. Every score is the sum of four running sums (columns i, i + 4, …), so both functions
// give the same bits.

/** Keys of one block. */
export const KEYS: i32 = 32;
/** Rows that share every load of a key or value. */
export const FIVE: i32 = 5;

/**
 * Scores of five rows (queries `[dim / 4][5][4]`) against `count` keys, rounded up to two, to f32[5][KEYS].
 * Keys are floats (T f32) or halves (T i16).
 * @param values as many bytes as the keys, which are read along with them, so that they come from memory while there
 *   is something to compute; `sink`: 16 bytes to write
 */
export function scoreFive<T>(
  queries: usize, keys: usize, keyBytes: usize, count: i32, scores: usize, values: usize, sink: usize,
): void {
  let touched = i32x4.splat(0);
  const four = <usize>4 * sizeof<T>();
  for (let j: i32 = 0; j < count; j += 2) {
    let a0 = f32x4.splat(0);
    let a1 = a0, a2 = a0, a3 = a0, a4 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0;
    let q = queries;
    // Past the last key there may be nothing to read.
    let ahead = j + 1 < count ? values : keys;
    const end = keys + keyBytes;
    let second = end;
    for (; keys + 2 * four <= end; keys += 2 * four) {
      let a = loadFour<T>(keys, 0);
      let b = loadFour<T>(second, 0);
      let x = v128.load(q);
      a0 = madd(x, a, a0);
      b0 = madd(x, b, b0);
      x = v128.load(q, 16);
      a1 = madd(x, a, a1);
      b1 = madd(x, b, b1);
      x = v128.load(q, 32);
      a2 = madd(x, a, a2);
      b2 = madd(x, b, b2);
      x = v128.load(q, 48);
      a3 = madd(x, a, a3);
      b3 = madd(x, b, b3);
      x = v128.load(q, 64);
      a4 = madd(x, a, a4);
      b4 = madd(x, b, b4);
      if (!isFloat<T>()) {
        touched = v128.or(touched, v128.load(ahead));
        ahead += 4 * four;
      }
      a = loadFour<T>(keys, 4);
      b = loadFour<T>(second, 4);
      x = v128.load(q, 80);
      a0 = madd(x, a, a0);
      b0 = madd(x, b, b0);
      x = v128.load(q, 96);
      a1 = madd(x, a, a1);
      b1 = madd(x, b, b1);
      x = v128.load(q, 112);
      a2 = madd(x, a, a2);
      b2 = madd(x, b, b2);
      x = v128.load(q, 128);
      a3 = madd(x, a, a3);
      b3 = madd(x, b, b3);
      x = v128.load(q, 144);
      a4 = madd(x, a, a4);
      b4 = madd(x, b, b4);
      second += 2 * four;
      q += 160;
    }
    for (; keys < end; keys += four) {
      const a = loadFour<T>(keys, 0);
      const b = loadFour<T>(second, 0);
      a0 = madd(v128.load(q), a, a0);
      b0 = madd(v128.load(q), b, b0);
      a1 = madd(v128.load(q, 16), a, a1);
      b1 = madd(v128.load(q, 16), b, b1);
      a2 = madd(v128.load(q, 32), a, a2);
      b2 = madd(v128.load(q, 32), b, b2);
      a3 = madd(v128.load(q, 48), a, a3);
      b3 = madd(v128.load(q, 48), b, b3);
      a4 = madd(v128.load(q, 64), a, a4);
      b4 = madd(v128.load(q, 64), b, b4);
      second += four;
      q += 80;
    }
    const first = sumLanesOf4(a0, b0, a1, b1);
    const other = sumLanesOf4(a2, b2, a3, b3);
    v128.store64_lane(scores, first, 0);
    v128.store64_lane(scores, first, 1, 4 * KEYS);
    v128.store64_lane(scores, other, 0, 8 * KEYS);
    v128.store64_lane(scores, other, 1, 12 * KEYS);
    store<f32>(scores, sumLanes(a4), 16 * KEYS);
    store<f32>(scores, sumLanes(b4), 16 * KEYS + 4);
    keys = second;
    values += 2 * keyBytes;
    scores += 8;
  }
  v128.store(sink, touched);
}

/** Scores of one row against `count` keys, rounded up to eight. */
export function scoreOne(query: usize, keys: usize, keyBytes: usize, count: i32, scores: usize): void {
  for (let j: i32 = 0; j < count; j += 8) {
    let s0 = f32x4.splat(0);
    let s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    const end = keys + keyBytes;
    let k1 = end;
    let k2 = k1 + keyBytes;
    let k3 = k2 + keyBytes;
    let k4 = k3 + keyBytes;
    let k5 = k4 + keyBytes;
    let k6 = k5 + keyBytes;
    let k7 = k6 + keyBytes;
    for (let q = query; keys < end; q += 16) {
      const x = v128.load(q);
      s0 = madd(x, v128.load(keys), s0);
      s1 = madd(x, v128.load(k1), s1);
      s2 = madd(x, v128.load(k2), s2);
      s3 = madd(x, v128.load(k3), s3);
      s4 = madd(x, v128.load(k4), s4);
      s5 = madd(x, v128.load(k5), s5);
      s6 = madd(x, v128.load(k6), s6);
      s7 = madd(x, v128.load(k7), s7);
      keys += 16;
      k1 += 16;
      k2 += 16;
      k3 += 16;
      k4 += 16;
      k5 += 16;
      k6 += 16;
      k7 += 16;
    }
    v128.store(scores, sumLanesOf4(s0, s1, s2, s3));
    v128.store(scores, sumLanesOf4(s4, s5, s6, s7), 16);
    keys = k7;
    scores += 32;
  }
}
