import { unpack } from './unpack/index';

/**
 * One quantized row to floats.
 * @param target f32[columns]
 * @param scratch 1.5 × columns bytes: codes, scales, minima
 */
export function dequantizeRow(
  type: i32, source: usize, target: usize, columns: i32, blocks: i32, group: i32, hasMins: bool, scratch: usize,
): void {
  const k = <usize>columns;
  let codes = scratch;
  let scales = scratch + k;
  let mins = scales + (k >> 2);
  unpack(type, source, codes, scales, mins, blocks);
  for (const end = codes + k; codes < end; scales += 4) {
    const scale = f32x4.splat(load<f32>(scales));
    let min = f32x4.splat(0);
    if (hasMins) {
      min = f32x4.splat(load<f32>(mins));
      mins += 4;
    }
    for (const groupEnd = codes + <usize>group; codes < groupEnd; codes += 8) {
      const wide = v128.load_ext<i8>(codes);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(wide));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(wide));
      v128.store(target, f32x4.sub(f32x4.mul(low, scale), min));
      v128.store(target, f32x4.sub(f32x4.mul(high, scale), min), 16);
      target += 32;
    }
  }
}
