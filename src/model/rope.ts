/**
 * Rotation speed of each pair of a head's dimensions, in radians per position: θ^(-2j/dim) / divisor[j].
 * Rounded to float32 at the same places as transformers does, because a long context magnifies the last bit.
 * @param divisors `rope_freqs.weight`, [dim / 2], when frequencies are scaled
 */
export function ropeFrequencies(theta: number, dim: number, divisors?: ArrayLike<number>): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, j) => {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * j) / dim)));
    return frequency / (divisors?.[j] ?? 1);
  });
}

/** Writes (cos, sin) of every pair at `position` to `target`, [dim]. */
export function ropeAngles(frequencies: Float32Array, position: number, target: Float32Array): void {
  for (let j = 0; j < frequencies.length; j++) {
    const angle = Math.fround(position * frequencies[j]!);
    target[2 * j] = Math.cos(angle);
    target[2 * j + 1] = Math.sin(angle);
  }
}
