import { half } from './vectors';

/** Halves to floats; exact, with subnormals, infinities and the payload of a NaN. */
export function unpackF16(source: usize, target: usize, count: i32): void {
  const zero = i32x4.splat(0);
  for (; count >= 8; count -= 8) {
    const halves = v128.load(source);
    // One more than the exponents 0 and 31, the special ones, has only zeros above its lowest bit.
    const regular = v128.and(i16x8.add(halves, i16x8.splat(0x400)), i16x8.splat(0x7800));
    // (V8 makes better code of this than of all_true.)
    if (i16x8.bitmask(i16x8.eq(regular, zero)) == 0) {
      v128.store(target, rebias(v128.shuffle<u16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11)));
      v128.store(target, rebias(v128.shuffle<u16>(zero, halves, 4, 12, 5, 13, 6, 14, 7, 15)), 16);
    } else {
      unpackAnyF16(source, target, 8);
    }
    source += 16;
    target += 32;
  }
  unpackAnyF16(source, target, count);
}

/** Floats of four normal halves that lie in the upper halves of the lanes. */
@inline
function rebias(halves: v128): v128 {
  const signAndMagnitude = v128.and(i32x4.shr_s(halves, 3), i32x4.splat(0x8fffe000));
  return i32x4.add(signAndMagnitude, i32x4.splat(0x38000000));
}

function unpackAnyF16(source: usize, target: usize, count: i32): void {
  for (; count > 0; count--) {
    store<f32>(target, half(load<u16>(source)));
    source += 2;
    target += 4;
  }
}

export function unpackBF16(source: usize, target: usize, count: i32): void {
  const zero = i32x4.splat(0);
  for (; count >= 8; count -= 8) {
    const halves = v128.load(source);
    v128.store(target, v128.shuffle<u16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(target, v128.shuffle<u16>(zero, halves, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    source += 16;
    target += 32;
  }
  for (; count > 0; count--) {
    store<u32>(target, <u32>load<u16>(source) << 16);
    source += 2;
    target += 4;
  }
}
