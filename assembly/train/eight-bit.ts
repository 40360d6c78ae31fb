import { adamw } from './optimizer';

// AdamW with its moments in one byte each (Dettmers et al. 2022): blocks of 256 elements with a scale each, bytes that
// number the values of a dynamic map (src/train/eight-bit-maps.ts), of which the nearest is taken.
//
// Tables: for m, then for v, f32[256] values in order, f32[256] the greatest number that rounds to each (the last ∞).
// Scratch: f32[256] m, f32[256] v of the block at hand.

const BLOCK: i32 = 256;
const MAP_BYTES: usize = 4 * BLOCK;
const TABLE_BYTES: usize = 2 * MAP_BYTES;

/** The number of the value nearest to x, by halving; limits are the second part of a table. */
@inline
function nearest(x: f32, limits: usize): usize {
  let code: usize = 0;
  for (let step: usize = 128; step > 0; step >>= 1) {
    code = select<usize>(code + step, code, x > load<f32>(limits + ((code + step - 1) << 2)));
  }
  return code;
}

/** `count` moments to bytes; returns their scale. */
function quantize(moments: usize, count: i32, codes: usize, table: usize): f32 {
  let largest: f32 = 0;
  for (let i: usize = 0; i < <usize>count; i++) largest = max(largest, abs(load<f32>(moments + (i << 2))));
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u8>(codes + i, <u8>nearest(load<f32>(moments + (i << 2)) / largest, table + MAP_BYTES));
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
