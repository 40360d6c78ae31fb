const TYPE_F32: i32 = 0;

/** Cache rows from floats: type 0 stores f32, type 1 f16 (round to nearest even, overflow to infinity). */
export function storeCache(type: i32, x: usize, target: usize, n: i32): void {
  if (type == TYPE_F32) {
    memory.copy(target, x, <usize>n << 2);
    return;
  }
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    const v = v128.load(x);
    const magnitude = v128.and(v, i32x4.splat(0x7fffffff));
    const sign = i32x4.shr_u(v128.and(v, i32x4.splat(0x80000000)), 16);
    // Normal results: rebias the exponent and round the 13 dropped bits to even.
    const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
    const normal = i32x4.shr_u(
      i32x4.add(i32x4.add(magnitude, odd), i32x4.splat(0xfff - (112 << 23))), 13);
    // Below 2^-14 adding 0.5 aligns the mantissa to f16's subnormal step, with the hardware's own rounding.
    const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(126 << 23));
    let half = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(113 << 23)));
    half = v128.bitselect(i32x4.splat(0x7c00), half, i32x4.ge_s(magnitude, i32x4.splat(0x477ff000)));
    half = v128.bitselect(i32x4.splat(0x7e00), half, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
    half = v128.or(half, sign);
    v128.store64_lane(target, i16x8.narrow_i32x4_u(half, half), 0);
    target += 8;
  }
}
