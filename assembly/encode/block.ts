// The block being encoded, and its bytes.
import { halfToFloat, scaleToHalf } from './half-float';

/** f32[256]: the weights times `norm`, so that squares of them neither overflow nor vanish in 32 bits. */
export const values = memory.data(1024, 16);
/** f32[256]: their importances. */
export const weights = memory.data(1024, 16);
/** A power of two. */
let norm: f64 = 1;

/** Takes `count` weights, a multiple of four. False if all are zero. */
export function loadBlock(source: usize, importances: usize, count: i32): bool {
  const bytes = <usize>count << 2;
  let largest = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    largest = f32x4.pmax(largest, f32x4.abs(v128.load(source + at)));
  }
  const peak = maxLane(largest);
  if (peak == 0) return false;
  const exponent = min(max(127 - <i32>(reinterpret<u32>(peak) >> 23), -126), 126);
  norm = reinterpret<f64>(<u64>(exponent + 1023) << 52);
  const factors = f32x4.splat(<f32>norm);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(values + at, f32x4.mul(v128.load(source + at), factors));
    v128.store(weights + at, v128.load(importances + at));
  }
  return true;
}

/** Bits of the half nearest to a scale of the block. */
export function halfOf(scale: f32): u32 {
  return scaleToHalf(<f64>scale / norm);
}

/** The scale that a half means for the block; limited, so that products of it stay finite. */
export function scaleOf(half: u32): f32 {
  return <f32>min(max(halfToFloat(half) * norm, -1e15), 1e15);
}

/** `1 / scale`, or 0 where that is not of use, so that all codes become 0. */
export function inverseOf(scale: f32): f32 {
  return abs(scale) > 1e-12 ? <f32>1 / scale : 0;
}

@inline
export function float(array: usize, at: i32): f32 {
  return load<f32>(array + (<usize>at << 2));
}

@inline
export function setFloat(array: usize, at: i32, value: f32): void {
  store<f32>(array + (<usize>at << 2), value);
}

@inline
export function sumLanes(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

@inline
export function maxLane(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

@inline
export function leastLane(v: v128): f32 {
  return min(
    min(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    min(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/** Sums of four vectors, as the lanes of one. */
@inline
export function sumFour(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}
