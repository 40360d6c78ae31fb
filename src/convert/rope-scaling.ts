import type { Llama4Config, RopeScaling } from './llama4-config.js';

/**
 * Divisors of the RoPE frequencies, `[headDim / 2]`, as llama.cpp stores them in `rope_freqs.weight`: 1 for
 * wavelengths that fit the original context several times, `factor` for those that do not fit, between them a
 * smooth passage. With equal low and high factors, as Scout has, there is no passage.
 * Formula: transformers 5, `_compute_llama3_parameters`.
 */
export function ropeDivisors(
  config: Pick<Llama4Config, 'headDim' | 'ropeTheta'>,
  { factor, lowFreqFactor, highFreqFactor, originalContextLength }: RopeScaling,
): Float32Array {
  return Float32Array.from({ length: config.headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * config.ropeTheta ** ((2 * i) / config.headDim);
    if (wavelength < originalContextLength / highFreqFactor) return 1;
    if (wavelength > originalContextLength / lowFreqFactor) return factor;
    const turns = originalContextLength / wavelength;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

const PUBLISHED: readonly RopeScaling[] = [
  { factor: 16, lowFreqFactor: 1, highFreqFactor: 1, originalContextLength: 8192 },
  { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 },
];

/** The published settings of Scout that give these divisors (within float rounding), if any do. */
export function ropeScalingOfDivisors(
  config: Pick<Llama4Config, 'headDim' | 'ropeTheta'>,
  divisors: Float32Array,
): RopeScaling | undefined {
  return PUBLISHED.find((scaling) => {
    const expected = ropeDivisors(config, scaling);
    return (
      expected.length === divisors.length &&
      expected.every((value, i) => Math.abs(value - divisors[i]!) <= 1e-5 * value)
    );
  });
}
