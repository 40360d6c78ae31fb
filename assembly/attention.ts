import { loadCache } from './cache';
import { EXP_CONSTANTS_BYTES, expShifted, madd, storeExpConstants, sumLanes } from './math';
import { FIVE, KEYS, scoreFive, scoreOne } from './attention-scores';
import { addFive, addOne } from './attention-values';

// Attention over a span of cached keys, in blocks of 32 keys with a running maximum and sum (Milakov & Gimelshein
// 2018), so that no full row of scores is ever held. One call serves the query heads that share one key/value head,
// for a run of tokens. Spans are then folded together in order; every query's sums have one order, whatever other
// queries are computed with it and however tokens are cut into calls.
//
// A row is a head of a token, token after token. Rows go in fives (the groups of the published models) and the rest
// one by one, with the same arithmetic.
//
// Partial result of a span, per row: f32[dim] weighted sum of values, largest score, sum of weights, 2 unused.
//
// Scratch of one call, for R rows:
//   f32[32][dim] keys, f32[32][dim] values, f32[R][dim] queries, f32[R][32] scores, f32[R → ×4] factors, exp constants

const TYPE_F32: i32 = 0;
const TYPE_F16: i32 = 1;
/** Below every score, and a number, so that differences are numbers. */
const LOWEST: f32 = -1e30;

/** Queries of five rows side by side, `[dim / 4][5][4]`; the rest as they are. */
function copyQueries(q: usize, qStride: usize, heads: i32, rows: i32, headBytes: usize, target: usize): void {
  const fives = rows - (rows % FIVE);
  for (let row: i32 = 0; row < rows; row++) {
    const from = q + <usize>(row / heads) * qStride + <usize>(row % heads) * headBytes;
    if (row >= fives) {
      memory.copy(target + <usize>row * headBytes, from, headBytes);
    } else {
      let to = target + <usize>(row - (row % FIVE)) * headBytes + (<usize>(row % FIVE) << 4);
      for (let i: usize = 0; i < headBytes; i += 16) {
        v128.store(to, v128.load(from + i));
        to += 16 * FIVE;
      }
    }
  }
}

@inline
function largestLane(v: v128): f32 {
  const pairs = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2)), 0);
}

/**
 * The first `visible` scores of a row to weights relative to its largest so far, the others of the block to 0; its
 * earlier sums are to be scaled by `factor`.
 */
function weigh(scores: usize, visible: i32, stats: usize, factor: usize, constants: usize): void {
  const padded = (visible + 3) & ~3;
  for (let j = visible; j < padded; j++) store<f32>(scores + (<usize>j << 2), -Infinity);
  const end = scores + (<usize>padded << 2);
  let highest = v128.load(scores);
  for (let at = scores + 16; at < end; at += 16) highest = f32x4.pmax(highest, v128.load(at));
  const before = load<f32>(stats);
  const largest = max(before, largestLane(highest));
  store<f32>(stats, largest);
  const shift = f32x4.splat(largest);
  // Stored as four, of which the next row overwrites three.
  v128.store(factor, f32x4.splat(before));
  expShifted(factor, factor + 16, shift, constants);
  const total = sumLanes(expShifted(scores, end, shift, constants));
  store<f32>(stats, load<f32>(stats, 4) * load<f32>(factor) + total, 4);
  for (let j = visible; j < KEYS; j++) store<f32>(scores + (<usize>j << 2), 0);
}

/**
 * Causal attention of `tokens` queries × `heads` heads over `keys` cached keys of one key/value head: query t sees
 * keys 0 … past + t of them, none where that is negative. Queries must already carry the 1/sqrt(dim) factor.
 * @param keyType, valueType ggml numbers of the cache's types: F32, F16, Q8_0 (rows as storeCache leaves them)
 * @param q f32: token t, head h at q + t × qStride + h × dim × 4
 * @param k, v cache rows of this head, one after another; dim a multiple of 4, for Q8_0 of 32
 * @param partial f32[heads × tokens][dim + 4]
 * @param scratch 64 × dim + heads × tokens × (dim + 33) + 64 floats
 */
export function attendSpan(
  keyType: i32, valueType: i32, q: usize, qStride: usize, heads: i32, tokens: i32, dim: i32,
  k: usize, keyBytes: usize, v: usize, valueBytes: usize, past: i32, keys: i32, partial: usize, scratch: usize,
): void {
  const headBytes = <usize>dim << 2;
  const rowBytes = headBytes + 16;
  const rows = heads * tokens;
  const fives = rows - (rows % FIVE);
  const keyCopies = scratch;
  const valueCopies = keyCopies + headBytes * <usize>KEYS;
  const queries = valueCopies + headBytes * <usize>KEYS;
  const scores = queries + headBytes * <usize>rows;
  const constants = scores + <usize>rows * 4 * KEYS;
  const factors = constants + EXP_CONSTANTS_BYTES;

  storeExpConstants(constants);
  copyQueries(q, qStride, heads, rows, headBytes, queries);
  memory.fill(partial, 0, <usize>rows * rowBytes);
  for (let row: i32 = 0; row < rows; row++) store<f32>(partial + <usize>row * rowBytes + headBytes, LOWEST);

  // Five rows alone read halves as they are; for more rows, halves are made floats once.
  const halfKeys = rows == FIVE && keyType == TYPE_F16;
  const halfValues = rows == FIVE && valueType == TYPE_F16;
  for (let j: i32 = 0; j < keys; j += KEYS) {
    const count = min(KEYS, keys - j);
    let blockKeys = k + <usize>j * keyBytes;
    let blockValues = v + <usize>j * valueBytes;
    if (!halfKeys && (keyType != TYPE_F32 || count < KEYS)) {
      // Keys are scored eight at a time: those that are missing must at least be numbers.
      memory.fill(keyCopies + <usize>count * headBytes, 0, <usize>(KEYS - count) * headBytes);
      loadCache(keyType, blockKeys, keyBytes, keyCopies, count, dim);
      blockKeys = keyCopies;
    }
    if (!halfValues && valueType != TYPE_F32) {
      loadCache(valueType, blockValues, valueBytes, valueCopies, count, dim);
      blockValues = valueCopies;
    }
    const ahead = halfValues ? blockValues : blockKeys;
    for (let row: i32 = 0; row < rows; ) {
      const group = row < fives ? FIVE : 1;
      const seen = min(count, past - j + (row + group - 1) / heads + 1);
      if (seen > 0) {
        const query = queries + <usize>row * headBytes;
        const rowScores = scores + <usize>row * 4 * KEYS;
        const sums = partial + <usize>row * rowBytes;
        if (group == 1) scoreOne(query, blockKeys, headBytes, seen, rowScores);
        else if (halfKeys) scoreFive<i16>(query, blockKeys, keyBytes, seen, rowScores, ahead, factors);
        else scoreFive<f32>(query, blockKeys, headBytes, seen, rowScores, ahead, factors);
        for (let r: i32 = 0; r < group; r++) {
          const visible = max(0, min(count, past - j + (row + r) / heads + 1));
          const at = <usize>r;
          weigh(rowScores + at * 4 * KEYS, visible, sums + at * rowBytes + headBytes, factors + at * 4, constants);
        }
        if (group == 1) addOne(rowScores, blockValues, headBytes, seen, sums, factors);
        else if (halfValues) addFive<i16>(rowScores, blockValues, valueBytes, seen, sums, rowBytes, factors);
        else addFive<f32>(rowScores, blockValues, headBytes, seen, sums, rowBytes, factors);
      }
      row += group;
    }
  }
}

/** Folds `count` partial results, `stride` bytes apart, into the one at `total`, in order. */
export function foldSpans(
  total: usize, partials: usize, stride: usize, count: i32, rows: i32, dim: i32, scratch: usize,
): void {
  const headBytes = <usize>dim << 2;
  storeExpConstants(scratch + 16);
  for (let s: i32 = 0; s < count; s++) {
    for (let row: i32 = 0; row < rows; row++) {
      const offset = <usize>row * (headBytes + 16);
      const to = total + offset;
      const from = partials + offset;
      const a = load<f32>(to + headBytes);
      const b = load<f32>(from + headBytes);
      const largest = max(a, b);
      store<f32>(to + headBytes, largest);
      v128.store(scratch, f32x4(a, b, a, b));
      expShifted(scratch, scratch + 16, f32x4.splat(largest), scratch + 16);
      const fa = load<f32>(scratch);
      const fb = load<f32>(scratch, 4);
      store<f32>(to + headBytes, load<f32>(to + headBytes, 4) * fa + load<f32>(from + headBytes, 4) * fb, 4);
      const va = f32x4.splat(fa);
      const vb = f32x4.splat(fb);
      for (let i: usize = 0; i < headBytes; i += 16) {
        v128.store(to + i, madd(v128.load(from + i), vb, f32x4.mul(v128.load(to + i), va)));
      }
    }
    partials += stride;
  }
}

/** A folded result to averages of values; out as q of attendSpan. */
export function finishAttention(
  total: usize, heads: i32, tokens: i32, dim: i32, out: usize, outStride: usize,
): void {
  const headBytes = <usize>dim << 2;
  for (let row: i32 = 0; row < heads * tokens; row++) {
    const inverse = f32x4.splat(1 / load<f32>(total + headBytes, 4));
    const to = out + <usize>(row / heads) * outStride + <usize>(row % heads) * headBytes;
    for (let i: usize = 0; i < headBytes; i += 16) v128.store(to + i, f32x4.mul(v128.load(total + i), inverse));
    total += headBytes + 16;
  }
}
