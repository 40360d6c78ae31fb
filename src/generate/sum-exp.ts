// e^x = 2^(k / STEPS) · e^r with |r| ≤ ln 2 / (2 · STEPS); the series for e^r, cut after r³, is then off by less than
// 2e-13. Table entry `i` is 2^(-i / STEPS).
const STEPS = 256;
const LOWEST = -64;
const powers = Float64Array.from(
  { length: Math.ceil(-LOWEST * Math.LOG2E * STEPS) + 2 },
  (_, i) => 2 ** (-i / STEPS),
);

/**
 * The sum of e^(value − max), relative error below 1e-12; `max` is the largest value. Several times as fast as
 * Math.exp, which over a vocabulary of 200 000 would take a noticeable part of the time a token takes.
 */
export function sumExp(values: Float64Array, max: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const x = values[i]! - max;
    // A million values this small do not reach the precision of the sum, which is at least 1.
    if (!(x > LOWEST)) continue;
    const step = (0.5 - x * (STEPS * Math.LOG2E)) | 0;
    const r = x + step * (Math.LN2 / STEPS);
    sum += powers[step]! * (1 + r * (1 + r * (0.5 + r * (1 / 6))));
  }
  return sum;
}
