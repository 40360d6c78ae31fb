/**
 * Fits of `values ≈ scale · code` with consecutive integer codes.
 *
 * For fixed codes the error Σw(x − s·q)² is Σwx² − 2sP + s²Q with P = Σwxq and Q = Σwq²; it is least at s = P/Q,
 * where it is Σwx² − P²/Q. `moments` carries P and Q out of the loops over the weights.
 */
export const moments = { p: 0, q: 0 };

/** The values that codes stand for, before the scale. */
export interface Levels {
  /** Largest magnitude among the values. */
  readonly reach: number;
  /** Sums P and Q for the values nearest at `scale`, over `count` weights from `from`, into `moments`. */
  measure(values: Float64Array, weights: Float64Array, from: number, count: number, scale: number): void;
}

/** Nearest code to `value / scale`, given `1 / scale`. */
export function nearestCode(value: number, inverse: number, low: number, high: number): number {
  const code = Math.floor(value * inverse + 0.5);
  return Math.min(Math.max(code, low), high);
}

/** `1 / scale`, or 0 where there is no finite one, so that all codes become 0. */
export function inverseOf(scale: number): number {
  const inverse = 1 / scale;
  return Number.isFinite(inverse) ? inverse : 0;
}

/** Codes that stand for themselves. */
export function codeRange(low: number, high: number): Levels {
  return {
    reach: Math.max(-low, high),
    measure(values, weights, from, count, scale) {
      const inverse = inverseOf(scale);
      let p = 0;
      let q = 0;
      for (let i = from; i < from + count; i++) {
        const code = nearestCode(values[i]!, inverse, low, high);
        const weighted = weights[i]! * code;
        p += weighted * values[i]!;
        q += weighted * code;
      }
      moments.p = p;
      moments.q = q;
    },
  };
}

const MAX_REFINEMENTS = 8;

/**
 * The scale of the given sign with the least error over `count` weights from `from`: the best of `steps` scales
 * on either side of "the largest weight gets the outermost level", then alternately new levels and new scale
 * until neither helps. Zero for all-zero weights. Leaves the P and Q of that scale in `moments`.
 */
export function fitScale(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  levels: Levels,
  sign: number,
  steps: number,
): number {
  let largest = 0;
  for (let i = from; i < from + count; i++) {
    largest = Math.max(largest, Math.abs(values[i]!));
  }
  let bestScale = 0;
  let bestP = 0;
  let bestQ = 0;
  let bestGain = 0;
  const tryScale = (scale: number): boolean => {
    levels.measure(values, weights, from, count, scale);
    const gain = moments.q > 0 ? (moments.p * moments.p) / moments.q : 0;
    if (!(gain > bestGain)) {
      return false;
    }
    bestGain = gain;
    bestP = moments.p;
    bestQ = moments.q;
    bestScale = moments.p / moments.q;
    return true;
  };
  for (let step = 0; step < steps; step++) {
    // From clipping everything beyond 2/3 of the largest weight to leaving the outer levels unused.
    tryScale((sign * largest) / (levels.reach * (0.75 + (0.75 * step) / steps)));
  }
  let refinements = 0;
  while (refinements < MAX_REFINEMENTS && tryScale(bestScale)) {
    refinements++;
  }
  moments.p = bestP;
  moments.q = bestQ;
  return bestScale;
}

/** The better of the two signs' `fitScale`. */
export function fitSignedScale(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  levels: Levels,
  steps: number,
): number {
  const positive = fitScale(values, weights, from, count, levels, 1, steps);
  const gain = positive * moments.p;
  const negative = fitScale(values, weights, from, count, levels, -1, steps);
  return negative * moments.p > gain ? negative : positive;
}
