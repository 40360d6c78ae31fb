/**
 * Four finite IEEE halves as floats; exact, with subnormals. Without branches: a call in one, however rare, would cost
 * the registers of the loops around it.
 */
@inline
export function loadHalves4(address: usize): v128 {
  const halves = v128.shuffle<u16>(i32x4.splat(0), v128.load_zero<u64>(address), 0, 8, 1, 9, 2, 10, 3, 11);
  const magnitude = v128.and(i32x4.shr_u(halves, 3), i32x4.splat(0x0fffe000));
  const normal = i32x4.add(magnitude, i32x4.splat(0x38000000));
  // Without a hidden one the value is 2 × (that with one) − 2^-14, which is less only for those that have none.
  const subnormal = f32x4.sub(f32x4.add(normal, normal), f32x4.splat(6.103515625e-5));
  return v128.or(f32x4.pmin(normal, subnormal), v128.and(halves, i32x4.splat(0x80000000)));
}
