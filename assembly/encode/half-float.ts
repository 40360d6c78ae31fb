/** Bits of the half nearest to `scale`, ties to even; beyond the largest half it saturates. */
export function scaleToHalf(scale: f64): u32 {
  const bits = reinterpret<u32>(<f32>min(max(scale, -65504.0), 65504.0));
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude < 0x38800000) {
    // Below the smallest normal half, adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    return sign | (reinterpret<u32>(reinterpret<f32>(magnitude) + <f32>0.5) - 0x3f000000);
  }
  return sign | ((magnitude - (112 << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13);
}

/** Value of the finite half with these bits. */
export function halfToFloat(half: u32): f64 {
  const sign: f64 = half & 0x8000 ? -1 : 1;
  const fraction = <f64>(half & 1023);
  const exponent = (half >> 10) & 31;
  if (exponent == 0) {
    return sign * fraction * 5.9604644775390625e-8;
  }
  return sign * (1024 + fraction) * reinterpret<f64>(<u64>(exponent + 998) << 52);
}
