// e^x = 2^(-k / STEPS) · e^r with |r| ≤ ln 2 / (2 · STEPS); the series for e^r, cut after r³, is then off by less than
// 2e-13. Table entry `i` is 2^(-i / STEPS).
const STEPS = 256;
const LOWEST = -64;
const powers = Float64Array.from(
  { length: Math.ceil(-LOWEST * Math.LOG2E * STEPS) + 2 },
  (_, i) => 2 ** (-i / STEPS),
);

/**
 * e^x for x ≤ 0 (up to 0.001, for the sake of rounding), relative error below 1e-12; 0 where e^x is below 1e-27 and for
 * NaN. Several times as fast as Math.exp, which over a vocabulary of 200 000 would take a noticeable part of the time
 * a token takes.
 */
export function expNegative(x: number): number {
  if (!(x > LOWEST)) return 0;
  const step = (0.5 - x * (STEPS * Math.LOG2E)) | 0;
  const r = x + step * (Math.LN2 / STEPS);
  return powers[step]! * (1 + r * (1 + r * (0.5 + r * (1 / 6))));
}
