// Newer V8 builds vectors that are constant where they are used, even in loops, with three instructions; a global that is
// set at run time is loaded with one.
let magnitudes = i32x4.splat(0);
let exponents = i32x4.splat(0);
let smallest = i32x4.splat(0);
let signs = i32x4.splat(0);

export function setHalfConstants(): void {
  magnitudes = i32x4.splat(0x0fffe000);
  exponents = i32x4.splat(0x38000000);
  smallest = f32x4.splat(6.103515625e-5);
  signs = i32x4.splat(0x80000000);
}

/**
 * Four finite IEEE halves as floats; exact, with subnormals. Without branches: a call in one, however rare, would cost
 * the registers of the loops around it.
 */
@inline
export function loadHalves4(address: usize): v128 {
  const halves = v128.shuffle<u16>(i32x4.splat(0), v128.load_zero<u64>(address), 0, 8, 1, 9, 2, 10, 3, 11);
  const magnitude = v128.and(i32x4.shr_u(halves, 3), magnitudes);
  const normal = i32x4.add(magnitude, exponents);
  // Without a hidden one the value is 2 × (that with one) − 2^-14, which is less only for those that have none.
  const subnormal = f32x4.sub(f32x4.add(normal, normal), smallest);
  return v128.or(f32x4.pmin(normal, subnormal), v128.and(halves, signs));
}
