/** Four products of the bytes `x` and `w`, added by the instruction that the build `dot` is about (dot-bytes.ts). */
export function fourProducts(x: i32, w: i32): i32 {
  const products = i32x4.relaxed_dot_i8x16_i7x16_add_s(i8x16.splat(<i8>x), i8x16.splat(<i8>w), i32x4.splat(0));
  return i32x4.extract_lane(products, 0);
}
