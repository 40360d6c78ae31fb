// Dropout by a hash of a counter: an element's fate depends on the seed and its number alone, so that layers computed
// again on the way back drop the same, however lanes divide them.
//
// The hash mixes as C. Wellons' "lowbias32" does (found by his hash prospector), each half of the seed, mixed by itself
// first, coming in before a multiplication.

const FIRST: u32 = 0x7feb352d;
const SECOND: u32 = 0x846ca68b;

/** In globals, as V8 would build constants anew in every round of a loop. */
let firsts = i32x4.splat(0);
let seconds = i32x4.splat(0);

@inline
function hash(counter: u32, low: u32, high: u32): u32 {
  let value = counter ^ low;
  value = (value ^ (value >>> 16)) * FIRST + high;
  value = (value ^ (value >>> 15)) * SECOND;
  return value ^ (value >>> 16);
}

/**
 * y[i] = 0 where hash(counter + i) < threshold, else x[i] × keepScale. Any n; y may be x.
 * @param counter of the first element, modulo 2^32
 */
export function dropout(
  x: usize, y: usize, n: i32, keepScale: f32, threshold: u32, seedLow: u32, seedHigh: u32, counter: u32,
): void {
  const low = hash(seedLow, 0, 0);
  const high = hash(seedHigh, low, 0);
  firsts = i32x4.splat(FIRST);
  seconds = i32x4.splat(SECOND);
  const scale = f32x4.splat(keepScale);
  const limit = i32x4.splat(threshold);
  const lows = i32x4.splat(low);
  const highs = i32x4.splat(high);
  let counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  for (; n >= 4; n -= 4) {
    let value = v128.xor(counters, lows);
    value = i32x4.add(i32x4.mul(v128.xor(value, i32x4.shr_u(value, 16)), firsts), highs);
    value = i32x4.mul(v128.xor(value, i32x4.shr_u(value, 15)), seconds);
    value = v128.xor(value, i32x4.shr_u(value, 16));
    v128.store(y, v128.and(f32x4.mul(v128.load(x), scale), i32x4.ge_u(value, limit)));
    counters = i32x4.add(counters, i32x4.splat(4));
    counter += 4;
    x += 16;
    y += 16;
  }
  for (; n > 0; n--) {
    store<f32>(y, hash(counter, low, high) >= threshold ? load<f32>(x) * keepScale : 0);
    counter++;
    x += 4;
    y += 4;
  }
}
