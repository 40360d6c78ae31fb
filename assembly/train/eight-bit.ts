import { adamw } from './optimizer';

// AdamW with its moments in one byte each (Dettmers et al. 2022): blocks of 256 elements with a scale each, bytes that
// number the values of a dynamic map (src/train/eight-bit-maps.ts), of which the nearest is taken.
//
// A table, for m and for v: f32[256] values in order; f32[256] the greatest number that rounds to each (the last ∞); u8
// what the smallest number of each bucket rounds to: positive, then negative numbers by their upper 16 bits, from 2^−22
// to 1. No bucket spans more than one limit.
// Scratch: f32[256] m, f32[256] v of the block at hand.

const BLOCK: i32 = 256;
const MAP_BYTES: usize = 4 * BLOCK;
const SMALLEST_BUCKET: u32 = (127 - 22) << 7;
const LARGEST_BUCKET: u32 = 127 << 7;
const BUCKETS: u32 = LARGEST_BUCKET - SMALLEST_BUCKET + 1;
const TABLE_BYTES: usize = 2 * MAP_BYTES + 2 * BUCKETS;

/** The number of the value nearest to x, which is in [-1, 1]. */
@inline
function nearest(x: f32, table: usize): usize {
  const bits = reinterpret<u32>(x);
  const upper = min<u32>(max<u32>((bits >> 16) & 0x7fff, SMALLEST_BUCKET), LARGEST_BUCKET);
  const bucket = upper - SMALLEST_BUCKET + (bits >> 31) * BUCKETS;
  const code = <usize>load<u8>(table + 2 * MAP_BYTES + bucket);
  return code + <usize>(x > load<f32>(table + MAP_BYTES + (code << 2)));
}

/** The largest magnitude of 256 floats. */
function largestOf(x: usize): f32 {
  let largest = f32x4.splat(0);
  for (let i: usize = 0; i < MAP_BYTES; i += 16) largest = f32x4.pmax(largest, f32x4.abs(v128.load(x + i)));
  const pairs = f32x4.pmax(largest, v128.shuffle<i32>(largest, largest, 2, 3, 0, 1));
  return max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

/** `count` moments, followed by zeros to 256, to bytes; returns their scale. */
function quantize(moments: usize, count: i32, codes: usize, table: usize): f32 {
  const largest = largestOf(moments);
  const scale = f32x4.splat(largest);
  for (let i: usize = 0; i < MAP_BYTES; i += 16) {
    v128.store(moments + i, f32x4.div(v128.load(moments + i), scale));
  }
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u8>(codes + i, <u8>nearest(load<f32>(moments + (i << 2)), table));
  }
  return largest;
}

/** As adamw, m and v being u8[n] with f32[⌈n / 256⌉] scales; moments whose scales are 0 are 0. */
export function adamw8bit(
  value: usize, gradient: usize, m: usize, v: usize, mScales: usize, vScales: usize, n: i32, learningRate: f64,
  beta1: f64, beta2: f64, epsilon: f64, decay: f64, correction1: f64, correction2: f64, gradientScale: f64,
  tables: usize, scratch: usize,
): void {
  const first = scratch;
  const second = scratch + MAP_BYTES;
  const vTable = tables + TABLE_BYTES;
  for (; n > 0; n -= BLOCK) {
    const count = min(BLOCK, n);
    if (count < BLOCK) memory.fill(scratch, 0, 2 * MAP_BYTES);
    const mScale = load<f32>(mScales);
    const vScale = load<f32>(vScales);
    for (let i: usize = 0; i < <usize>count; i++) {
      store<f32>(first + (i << 2), load<f32>(tables + (<usize>load<u8>(m + i) << 2)) * mScale);
      store<f32>(second + (i << 2), load<f32>(vTable + (<usize>load<u8>(v + i) << 2)) * vScale);
    }
    adamw(
      value, gradient, first, second, count, learningRate, beta1, beta2, epsilon, decay, correction1, correction2,
      gradientScale,
    );
    store<f32>(mScales, quantize(first, count, m, tables));
    store<f32>(vScales, quantize(second, count, v, vTable));
    value += MAP_BYTES;
    gradient += MAP_BYTES;
    m += BLOCK;
    v += BLOCK;
    mScales += 4;
    vScales += 4;
  }
}
