/** The 16 values of bitsandbytes' NF4: quantiles of a normal distribution, scaled to −1…1 (Dettmers et al., 2023). */
export const NF4_VALUES: readonly number[] = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

/** Weights that share a scale, bitsandbytes' default. */
export const NF4_BLOCK = 64;

/** Largest values that each code but the last stands for: ties go to the lower code. */
const BORDERS = NF4_VALUES.slice(1).map((value, code) => Math.fround((value + NF4_VALUES[code]!) / 2));

/** bitsandbytes' smallest scale, which keeps blocks of zeros from dividing by zero. */
const SMALLEST_SCALE = 1e-38;

/** The code nearest to a value of −1…1. */
export function nf4Code(value: number): number {
  let low = 0;
  for (let step = 8; step > 0; step >>= 1) {
    if (value > BORDERS[low + step - 1]!) low += step;
  }
  return low;
}

/**
 * What weights become in a 4-bit bitsandbytes checkpoint: every 64 consecutive ones, the last block perhaps fewer,
 * are scaled by their largest magnitude and rounded to the nearest of `NF4_VALUES`. Scales stay in 32 bits, as
 * without double quantization. `target` has the length of `source` and may be the same array.
 */
export function roundToNf4(source: Float32Array, target: Float32Array): void {
  for (let start = 0; start < source.length; start += NF4_BLOCK) {
    const end = Math.min(start + NF4_BLOCK, source.length);
    let scale = SMALLEST_SCALE;
    for (let i = start; i < end; i++) scale = Math.max(scale, Math.abs(source[i]!));
    const inverse = Math.fround(1 / scale);
    for (let i = start; i < end; i++) {
      target[i] = NF4_VALUES[nf4Code(Math.fround(source[i]! * inverse))]! * scale;
    }
  }
}
