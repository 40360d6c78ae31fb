import { half } from './vectors';

/** Halves to floats; exact, with subnormals, infinities and the payload of a NaN. */
export function unpackF16(source: usize, target: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    const bits = v128.load_ext<u16>(source);
    const magnitude = v128.and(bits, i32x4.splat(0x7fff));
    const isFinite = i32x4.lt_s(magnitude, i32x4.splat(0x7c00));
    const bias = v128.bitselect(i32x4.splat(0x38000000), i32x4.splat(0x70000000), isFinite);
    const normal = i32x4.add(i32x4.shl(magnitude, 13), bias);
    const subnormal = f32x4.mul(f32x4.convert_i32x4_s(magnitude), f32x4.splat(5.9604644775390625e-8));
    const value = v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x400)));
    const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
    v128.store(target, v128.or(value, sign));
    source += 8;
    target += 16;
  }
  for (; count > 0; count--) {
    store<f32>(target, half(load<u16>(source)));
    source += 2;
    target += 4;
  }
}

export function unpackBF16(source: usize, target: usize, count: i32): void {
  for (; count >= 4; count -= 4) {
    v128.store(target, i32x4.shl(v128.load_ext<u16>(source), 16));
    source += 8;
    target += 16;
  }
  for (; count > 0; count--) {
    store<u32>(target, <u32>load<u16>(source) << 16);
    source += 2;
    target += 4;
  }
}
