import { EXP_CONSTANTS_BYTES, expShifted, storeExpConstants, sumLanes } from '../math';
import { logarithm } from './logarithm';
import { productNN, productNT, productScratchBytes, productTN } from './products';

// Causal attention and its gradients in blocks of 64 queries of one head by 64 keys, with a running maximum and sum on
// the way forward (Milakov & Gimelshein 2018) and the logarithms of the sums on the way back (Dao et al. 2022), so that
// no more than a block of scores exists. Chunks see nothing of each other: each is a sequence of its own. Heads, then
// blocks of queries, then blocks of keys go in order, so sums have one order.
//
// Scratch: that of the products, f32[64][64] weights, f32[64][64] their gradients, f32[64][4] statistics of the block's
// queries (largest score and sum on the way forward, Σ dOut × out on the way back), 4 floats, exp's constants.

const BLOCK: i32 = 64;
const ROW_BYTES: usize = 4 * BLOCK;
const BLOCK_BYTES: usize = ROW_BYTES * BLOCK;
/** Below every score, and a number, so that differences are numbers. */
const LOWEST: f32 = -1e30;

export function attentionScratchBytes(): usize {
  return constantsOf(0) + EXP_CONSTANTS_BYTES;
}

@inline
function weightsOf(scratch: usize): usize {
  return scratch + productScratchBytes();
}

@inline
function weightGradientsOf(scratch: usize): usize {
  return weightsOf(scratch) + BLOCK_BYTES;
}

@inline
function statisticsOf(scratch: usize): usize {
  return weightsOf(scratch) + 2 * BLOCK_BYTES;
}

@inline
function factorOf(scratch: usize): usize {
  return statisticsOf(scratch) + 16 * BLOCK;
}

@inline
function constantsOf(scratch: usize): usize {
  return factorOf(scratch) + 16;
}

@inline
function largestLane(v: v128): f32 {
  const pairs = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2)), 0);
}

@inline
function fillRow(row: usize, from: i32, end: i32, value: f32): void {
  for (let j = from; j < end; j++) store<f32>(row + (<usize>j << 2), value);
}

@inline
function scaleRow(x: usize, factor: f32, n: i32): void {
  const f = f32x4.splat(factor);
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 16) v128.store(x + i, f32x4.mul(v128.load(x + i), f));
}

/**
 * The first `visible` scores of a row to weights relative to its largest so far, those up to `keys` to 0. Returns what
 * the row's earlier sums are to be scaled by.
 */
function weigh(row: usize, visible: i32, keys: i32, statistics: usize, scratch: usize): f32 {
  const factor = factorOf(scratch);
  const constants = constantsOf(scratch);
  const padded = (visible + 3) & ~3;
  fillRow(row, visible, padded, -Infinity);
  const end = row + (<usize>padded << 2);
  let highest = v128.load(row);
  for (let at = row + 16; at < end; at += 16) highest = f32x4.pmax(highest, v128.load(at));
  const before = load<f32>(statistics);
  const largest = max(before, largestLane(highest));
  const shift = f32x4.splat(largest);
  v128.store(factor, f32x4.splat(before));
  expShifted(factor, factor + 16, shift, constants);
  const total = sumLanes(expShifted(row, end, shift, constants));
  fillRow(row, visible, keys, 0);
  store<f32>(statistics, largest);
  store<f32>(statistics, load<f32>(statistics, 4) * load<f32>(factor) + total, 4);
  return load<f32>(factor);
}

/** Up to 64 queries of one head; `before` tokens of their chunk come before them. Strides in floats. */
function attendBlock(
  q: usize, qStride: usize, k: usize, v: usize, kvStride: usize, out: usize, logSums: usize,
  before: i32, rows: i32, dim: i32, scratch: usize,
): void {
  const weights = weightsOf(scratch);
  const statistics = statisticsOf(scratch);
  for (let r: usize = 0; r < <usize>rows; r++) {
    store<f32>(statistics + (r << 4), LOWEST);
    store<f32>(statistics + (r << 4), 0, 4);
  }
  for (let j: i32 = 0; j < before + rows; j += BLOCK) {
    const keys = min(BLOCK, before + rows - j);
    const offset = (<usize>j * kvStride) << 2;
    productNT(q, qStride, k + offset, kvStride, weights, BLOCK, rows, keys, dim, false, scratch);
    for (let r: i32 = 0; r < rows; r++) {
      const visible = min(keys, before + r + 1 - j);
      const at = <usize>r;
      const factor = weigh(weights + at * ROW_BYTES, visible, keys, statistics + (at << 4), scratch);
      if (j > 0) scaleRow(out + ((at * qStride) << 2), factor, dim);
    }
    productNN(weights, BLOCK, v + offset, kvStride, out, qStride, rows, keys, dim, j > 0, scratch);
  }
  for (let r: usize = 0; r < <usize>rows; r++) {
    const largest = load<f32>(statistics + (r << 4));
    const sum = load<f32>(statistics + (r << 4), 4);
    scaleRow(out + ((r * qStride) << 2), 1 / sum, dim);
    store<f32>(logSums + (r << 2), <f32>(<f64>largest + logarithm(sum)));
  }
}

/**
 * @param q token t, head h at q + 4 (t × qStride + h × dim), carrying the 1/√dim factor
 * @param k, v token t at + 4 t × kvStride
 * @param out as q
 * @param logSums f32[heads][tokens]
 * @param dim a multiple of 4
 * @param chunk tokens see nothing before the last multiple of this position; 0: they see all before them
 */
export function attentionForward(
  q: usize, qStride: usize, k: usize, v: usize, kvStride: usize, out: usize, logSums: usize,
  heads: i32, tokens: i32, dim: i32, chunk: i32, scratch: usize,
): void {
  storeExpConstants(constantsOf(scratch));
  const span = chunk > 0 ? chunk : tokens;
  for (let first: i32 = 0; first < tokens; first += span) {
    const count = min(span, tokens - first);
    const kvOffset = (<usize>first * kvStride) << 2;
    for (let h: i32 = 0; h < heads; h++) {
      for (let i: i32 = 0; i < count; i += BLOCK) {
        const offset = (<usize>(first + i) * qStride + <usize>(h * dim)) << 2;
        const sums = logSums + (<usize>(h * tokens + first + i) << 2);
        attendBlock(
          q + offset, qStride, k + kvOffset, v + kvOffset, kvStride, out + offset, sums,
          i, min(BLOCK, count - i), dim, scratch,
        );
      }
    }
  }
}

@inline
function dot(a: usize, b: usize, n: i32): f32 {
  let sum = f32x4.splat(0);
  const bytes = <usize>n << 2;
  for (let i: usize = 0; i < bytes; i += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(a + i), v128.load(b + i)));
  return sumLanes(sum);
}

/** Gradients through up to 64 queries of one head: dq is overwritten, dk and dv are added to. */
function attendBlockBackward(
  q: usize, qStride: usize, k: usize, v: usize, kvStride: usize, out: usize, dOut: usize, logSums: usize,
  dq: usize, dk: usize, dv: usize, before: i32, rows: i32, dim: i32, scratch: usize,
): void {
  const weights = weightsOf(scratch);
  const gradients = weightGradientsOf(scratch);
  const statistics = statisticsOf(scratch);
  const constants = constantsOf(scratch);
  for (let r: usize = 0; r < <usize>rows; r++) {
    const offset = (r * qStride) << 2;
    store<f32>(statistics + (r << 4), dot(out + offset, dOut + offset, dim));
  }
  for (let j: i32 = 0; j < before + rows; j += BLOCK) {
    const keys = min(BLOCK, before + rows - j);
    const offset = (<usize>j * kvStride) << 2;
    productNT(q, qStride, k + offset, kvStride, weights, BLOCK, rows, keys, dim, false, scratch);
    productNT(dOut, qStride, v + offset, kvStride, gradients, BLOCK, rows, keys, dim, false, scratch);
    for (let r: i32 = 0; r < rows; r++) {
      const visible = min(keys, before + r + 1 - j);
      const at = <usize>r;
      const row = weights + at * ROW_BYTES;
      const gradientRow = gradients + at * ROW_BYTES;
      const end = row + (<usize>((visible + 3) & ~3) << 2);
      expShifted(row, end, f32x4.splat(load<f32>(logSums + (at << 2))), constants);
      fillRow(row, visible, (keys + 3) & ~3, 0);
      const mean = f32x4.splat(load<f32>(statistics + (at << 4)));
      for (let i: usize = 0; i < <usize>((visible + 3) & ~3) << 2; i += 16) {
        const centred = f32x4.sub(v128.load(gradientRow + i), mean);
        v128.store(gradientRow + i, f32x4.mul(v128.load(row + i), centred));
      }
      fillRow(gradientRow, visible, keys, 0);
    }
    productTN(weights, BLOCK, dOut, qStride, dv + offset, kvStride, rows, keys, dim, scratch);
    productTN(gradients, BLOCK, q, qStride, dk + offset, kvStride, rows, keys, dim, scratch);
    productNN(gradients, BLOCK, k + offset, kvStride, dq, qStride, rows, keys, dim, j > 0, scratch);
  }
}

/** Gradients of attentionForward: dq with q's strides, dk and dv with k's, all overwritten. */
export function attentionBackward(
  q: usize, qStride: usize, k: usize, v: usize, kvStride: usize, out: usize, dOut: usize, logSums: usize,
  dq: usize, dk: usize, dv: usize, heads: i32, tokens: i32, dim: i32, chunk: i32, scratch: usize,
): void {
  storeExpConstants(constantsOf(scratch));
  for (let t: usize = 0; t < <usize>tokens; t++) {
    memory.fill(dk + ((t * kvStride) << 2), 0, <usize>dim << 2);
    memory.fill(dv + ((t * kvStride) << 2), 0, <usize>dim << 2);
  }
  const span = chunk > 0 ? chunk : tokens;
  for (let first: i32 = 0; first < tokens; first += span) {
    const count = min(span, tokens - first);
    const kvOffset = (<usize>first * kvStride) << 2;
    for (let h: i32 = 0; h < heads; h++) {
      for (let i: i32 = 0; i < count; i += BLOCK) {
        const offset = (<usize>(first + i) * qStride + <usize>(h * dim)) << 2;
        const sums = logSums + (<usize>(h * tokens + first + i) << 2);
        attendBlockBackward(
          q + offset, qStride, k + kvOffset, v + kvOffset, kvStride, out + offset, dOut + offset, sums,
          dq + offset, dk + kvOffset, dv + kvOffset, i, min(BLOCK, count - i), dim, scratch,
        );
      }
    }
  }
}
