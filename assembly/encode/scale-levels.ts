// Fits of values ≈ scale · level: sums over weights rounded to the nearest levels.
import { float, inverseOf, maxLane, sumLanes, values, weights } from './block';

/** Levels are the whole numbers from `low` to `high`, or those of a table between them. */
@unmanaged
export class Levels {
  low: f32;
  high: f32;
  /** f32[512] by ⌊2v⌋ + 256: the level nearest to v; or 0 */
  nearest: usize;
}

export function newRange(low: f32, high: f32): Levels {
  const levels = changetype<Levels>(heap.alloc(offsetof<Levels>()));
  levels.low = low;
  levels.high = high;
  levels.nearest = 0;
  return levels;
}

/** @param table f32[count], ascending whole numbers: midway between two of them lies a multiple of one half. */
export function newTable(table: usize, count: i32): Levels {
  const levels = newRange(float(table, 0), float(table, count - 1));
  levels.nearest = heap.alloc(2048);
  let position = 0;
  for (let doubled = -256; doubled < 256; doubled++) {
    while (position + 1 < count && <f32>doubled >= float(table, position) + float(table, position + 1)) position++;
    store<f32>(levels.nearest + (<usize>(doubled + 256) << 2), float(table, position));
  }
  return levels;
}

@inline
export function nearestLevels(levels: Levels, scaled: v128): v128 {
  const inside = f32x4.pmin(f32x4.pmax(scaled, f32x4.splat(levels.low)), f32x4.splat(levels.high));
  const table = levels.nearest;
  if (!table) return f32x4.nearest(inside);
  // Added to 2^23, a whole number stands in the low bits.
  const doubled = f32x4.floor(f32x4.add(inside, inside));
  const indices = v128.and(f32x4.add(doubled, f32x4.splat(8388608 + 256)), i32x4.splat(511));
  let found = v128.load32_zero(table + (<usize>i32x4.extract_lane(indices, 0) << 2));
  found = v128.load_lane<f32>(table + (<usize>i32x4.extract_lane(indices, 1) << 2), found, 1);
  found = v128.load_lane<f32>(table + (<usize>i32x4.extract_lane(indices, 2) << 2), found, 2);
  return v128.load_lane<f32>(table + (<usize>i32x4.extract_lane(indices, 3) << 2), found, 3);
}

/** Σwxg and Σwg² of the last `measure`. */
export let momentP: f32 = 0;
export let momentQ: f32 = 0;

/** Sums over the levels g nearest at `scale`, for the weights in `bytes` from `from` on. */
export function measure(levels: Levels, from: usize, bytes: usize, scale: f32): void {
  const inverses = f32x4.splat(inverseOf(scale));
  let p = f32x4.splat(0);
  let q = f32x4.splat(0);
  for (let at = from; at < from + bytes; at += 16) {
    const x = v128.load(values + at);
    const g = nearestLevels(levels, f32x4.mul(x, inverses));
    const weighted = f32x4.mul(v128.load(weights + at), g);
    p = f32x4.add(p, f32x4.mul(weighted, x));
    q = f32x4.add(q, f32x4.mul(weighted, g));
  }
  momentP = sumLanes(p);
  momentQ = sumLanes(q);
}

/** Σwx² */
export function norm(from: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0);
  for (let at = from; at < from + bytes; at += 16) {
    const x = v128.load(values + at);
    sum = f32x4.add(sum, f32x4.mul(v128.load(weights + at), f32x4.mul(x, x)));
  }
  return sumLanes(sum);
}

const MAX_REFINEMENTS = 6;

export let fittedScale: f32 = 0;
export let fittedGain: f32 = 0;

function tryScale(levels: Levels, from: usize, bytes: usize, scale: f32): bool {
  measure(levels, from, bytes, scale);
  const gain: f32 = momentQ > 0 ? (momentP * momentP) / momentQ : 0;
  if (!(gain > fittedGain)) return false;
  fittedGain = gain;
  fittedScale = momentP / momentQ;
  return true;
}

/**
 * The best scale of the sign of `reach`, and by how much it lowers the error against zeros. Tried are `steps` scales
 * at which the largest weight is from `nearest` to `farthest` times `reach`; then the best one's least-squares
 * scale, with new levels, while that helps.
 */
export function fitScale(
  levels: Levels, from: usize, bytes: usize, reach: f32, nearest: f32, farthest: f32, steps: i32,
): void {
  const largest = largestMagnitude(from, bytes);
  fittedScale = 0;
  fittedGain = 0;
  if (largest == 0) return;
  const stride = (farthest - nearest) / <f32>steps;
  for (let step = 0; step < steps; step++) {
    tryScale(levels, from, bytes, largest / (reach * (nearest + stride * <f32>step)));
  }
  let refinements = 0;
  while (refinements < MAX_REFINEMENTS && tryScale(levels, from, bytes, fittedScale)) refinements++;
}

function largestMagnitude(from: usize, bytes: usize): f32 {
  let largest = f32x4.splat(0);
  for (let at = from; at < from + bytes; at += 16) {
    largest = f32x4.pmax(largest, f32x4.abs(v128.load(values + at)));
  }
  return maxLane(largest);
}
