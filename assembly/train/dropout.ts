// Dropout by a hash of a counter: an element's fate depends on the seed and its number alone, so that layers computed
// again on the way back drop the same, however lanes divide them.

/** A bijection of 32 bits without visible bias (constants of C. Wellons' hash prospector, "lowbias32"). */
@inline
function mix(value: u32): u32 {
  value = (value ^ (value >>> 16)) * 0x7feb352d;
  value = (value ^ (value >>> 15)) * 0x846ca68b;
  return value ^ (value >>> 16);
}

@inline
function mix4(value: v128): v128 {
  value = i32x4.mul(v128.xor(value, i32x4.shr_u(value, 16)), i32x4.splat(0x7feb352d));
  value = i32x4.mul(v128.xor(value, i32x4.shr_u(value, 15)), i32x4.splat(0x846ca68b));
  return v128.xor(value, i32x4.shr_u(value, 16));
}

/**
 * y[i] = 0 where mix(mix(counter + i ^ seedLow) + seedHigh) < threshold, else x[i] × keepScale. Any n; y may be x.
 * @param counter of the first element, modulo 2^32
 */
export function dropout(
  x: usize, y: usize, n: i32, keepScale: f32, threshold: u32, seedLow: u32, seedHigh: u32, counter: u32,
): void {
  const scale = f32x4.splat(keepScale);
  const limit = i32x4.splat(threshold);
  const low = i32x4.splat(seedLow);
  const high = i32x4.splat(seedHigh);
  let counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3));
  for (; n >= 4; n -= 4) {
    const hash = mix4(i32x4.add(mix4(v128.xor(counters, low)), high));
    const kept = i32x4.ge_u(hash, limit);
    v128.store(y, v128.and(f32x4.mul(v128.load(x), scale), kept));
    counters = i32x4.add(counters, i32x4.splat(4));
    counter += 4;
    x += 16;
    y += 16;
  }
  for (; n > 0; n--) {
    const kept = mix(mix(counter ^ seedLow) + seedHigh) >= threshold;
    store<f32>(y, kept ? load<f32>(x) * keepScale : 0);
    counter++;
    x += 4;
    y += 4;
  }
}
