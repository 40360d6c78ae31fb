import { half } from '../unpack/vectors';

/** Four IEEE halves as floats; exact, with subnormals. */
@inline
export function loadHalves4(address: usize): v128 {
  const zero = i32x4.splat(0);
  const halves = v128.load_zero<u64>(address);
  // One more than the exponents 0 and 31, the special ones, has only zeros above its lowest bit.
  const regular = v128.and(i16x8.add(halves, i16x8.splat(0x400)), i16x8.splat(0x7800));
  if ((i16x8.bitmask(i16x8.eq(regular, zero)) & 15) != 0) return anyHalves4(address);
  const wide = i32x4.shr_s(v128.shuffle<u16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11), 3);
  return i32x4.add(v128.and(wide, i32x4.splat(0x8fffe000)), i32x4.splat(0x38000000));
}

function anyHalves4(address: usize): v128 {
  let v = f32x4.splat(half(load<u16>(address)));
  v = f32x4.replace_lane(v, 1, half(load<u16>(address, 2)));
  v = f32x4.replace_lane(v, 2, half(load<u16>(address, 4)));
  return f32x4.replace_lane(v, 3, half(load<u16>(address, 6)));
}
