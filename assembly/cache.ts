// Rows of the cache of keys and values. F16 rows hold n halves. Q8_0 rows hold the same codes and scales as ggml's
// blocks of 32, sorted: n codes in bytes, then n / 32 scales in halves.

const TYPE_F32: i32 = 0;
const TYPE_F16: i32 = 1;

/** Four floats to halves (round to nearest even, overflow to infinity) in the lower part of each lane. */
@inline
function toHalves(v: v128): v128 {
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
  return v128.or(half, sign);
}

/**
 * Halves, sign-extended to 32 bits, as floats. Infinities and NaNs become numbers from 65,536 on: a cache that
 * overflowed is past saving, and telling them apart would cost every load.
 */
@inline
export function fromHalves(v: v128): v128 {
  // The exponent's five bits land in the float's lowest five; 2^112 makes up for the difference in bias.
  const shifted = v128.and(i32x4.shl(v, 13), i32x4.splat(0x8fffffff));
  return f32x4.mul(shifted, f32x4.splat(5192296858534827628530496329220096.0));
}

@inline
function magnitudes(x: usize): v128 {
  return f32x4.pmax(f32x4.abs(v128.load(x)), f32x4.abs(v128.load(x, 16)));
}

/** Four codes as integers; halves are rounded away from zero, as ggml does. */
@inline
function codes4(x: usize, inverse: v128): v128 {
  const scaled = f32x4.mul(v128.load(x), inverse);
  const sign = v128.and(scaled, i32x4.splat(0x80000000));
  return i32x4.trunc_sat_f32x4_s(f32x4.add(scaled, v128.or(sign, f32x4.splat(0.5))));
}

function storeQ8_0(x: usize, target: usize, n: i32): void {
  let scales = target + <usize>n;
  for (const end = scales; target < end; target += 32) {
    let m = f32x4.pmax(
      f32x4.pmax(magnitudes(x), magnitudes(x + 32)), f32x4.pmax(magnitudes(x + 64), magnitudes(x + 96)));
    m = f32x4.pmax(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
    const largest = max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1));
    const scale: f32 = largest / 127;
    const inverse = f32x4.splat(largest > 0 ? 1 / scale : 0);
    for (let i: usize = 0; i < 32; i += 16) {
      const from = x + (i << 2);
      const low = i16x8.narrow_i32x4_s(codes4(from, inverse), codes4(from + 16, inverse));
      const high = i16x8.narrow_i32x4_s(codes4(from + 32, inverse), codes4(from + 48, inverse));
      v128.store(target + i, i8x16.narrow_i16x8_s(low, high));
    }
    v128.store16_lane(scales, toHalves(f32x4.splat(scale)), 0);
    scales += 2;
    x += 128;
  }
}

/** A cache row from n floats (a multiple of 4; for Q8_0 of 32). `type`: ggml's number of F32, F16 or Q8_0. */
export function storeCache(type: i32, x: usize, target: usize, n: i32): void {
  if (type == TYPE_F32) {
    memory.copy(target, x, <usize>n << 2);
  } else if (type == TYPE_F16) {
    const end = x + (<usize>n << 2);
    for (; x < end; x += 16) {
      const half = toHalves(v128.load(x));
      v128.store64_lane(target, i16x8.narrow_i32x4_u(half, half), 0);
      target += 8;
    }
  } else storeQ8_0(x, target, n);
}

function loadF16(source: usize, target: usize, n: i32): void {
  const end = target + (<usize>n << 2);
  for (; target + 64 <= end; target += 64) {
    v128.store(target, fromHalves(v128.load_ext<i16>(source)));
    v128.store(target, fromHalves(v128.load_ext<i16>(source, 8)), 16);
    v128.store(target, fromHalves(v128.load_ext<i16>(source, 16)), 32);
    v128.store(target, fromHalves(v128.load_ext<i16>(source, 24)), 48);
    source += 32;
  }
  for (; target < end; target += 16) {
    v128.store(target, fromHalves(v128.load_ext<i16>(source)));
    source += 8;
  }
}

@inline
function storeCodes8(source: usize, scale: v128, target: usize): void {
  const codes = v128.load_ext<i8>(source);
  const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(codes));
  const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(codes));
  v128.store(target, f32x4.mul(low, scale));
  v128.store(target, f32x4.mul(high, scale), 16);
}

function loadQ8_0(source: usize, target: usize, n: i32): void {
  let scales = source + <usize>n;
  for (const end = scales; source < end; source += 32) {
    const scale = fromHalves(i32x4.splat(load<i16>(scales)));
    storeCodes8(source, scale, target);
    storeCodes8(source + 8, scale, target + 32);
    storeCodes8(source + 16, scale, target + 64);
    storeCodes8(source + 24, scale, target + 96);
    scales += 2;
    target += 128;
  }
}

/** Four elements of a row of floats (T f32) or halves (T i16). */
@inline
export function loadFour<T>(source: usize, offset: usize): v128 {
  if (isFloat<T>()) return v128.load(source + offset * 4);
  return fromHalves(v128.load_ext<i16>(source + offset * 2));
}

/** `rows` cache rows of n elements, `rowBytes` apart, to f32[rows][n]. */
export function loadCache(type: i32, source: usize, rowBytes: usize, target: usize, rows: i32, n: i32): void {
  if (type == TYPE_F32) memory.copy(target, source, <usize>rows * rowBytes);
  else if (type == TYPE_F16) loadF16(source, target, rows * n);
  else {
    for (let row: i32 = 0; row < rows; row++) {
      loadQ8_0(source, target, n);
      source += rowBytes;
      target += <usize>n << 2;
    }
  }
}
