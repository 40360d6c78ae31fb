import { CriaError } from '../base/errors.js';

/** Largest magnitude of `source[start]` to `source[end - 1]`. Throws `non-finite-weights` (bad-file). */
export function largestMagnitude(source: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(source[i]!);
    if (magnitude > largest) largest = magnitude;
    else if (Number.isNaN(magnitude)) largest = Number.POSITIVE_INFINITY;
  }
  if (largest < Number.POSITIVE_INFINITY) return largest;
  const message = 'expected weights that are finite numbers, found an infinity or NaN';
  throw new CriaError('bad-file', 'non-finite-weights', message);
}
