/**
 * Floats uniform in ±bound, which follow from the seed, the parameter's index and each element's: a counter, mixed as by
 * SplitMix32 (a 32-bit finalizer after Steele et al. 2014).
 */
export function uniformFloats(seed: number, parameter: number, length: number, bound: number): Float32Array {
  const stream = mix(mix(seed) ^ Math.imul(parameter + 1, 0x9e3779b9));
  return Float32Array.from({ length }, (_, i) => {
    const unit = mix(stream ^ mix(i)) / 2 ** 32;
    return (2 * unit - 1) * bound;
  });
}

function mix(value: number): number {
  let x = (value + 0x9e3779b9) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
