import { f16ToF32 } from '../float.js';
import { searchFromStarts } from './best-starts.js';
import { scaleToHalf } from './block-encoder.js';
import { type CodeRange, fitScale, inverseOf, type Levels, moments, nearestCode } from './scale-fit.js';

const SUPER_BLOCK = 256;
const KEPT_STARTS = 3;

/** Shape of a super-block of 256 weights ≈ d · scale · level, with a scale per sub-block. */
export interface SuperScaleShape {
  /** Weights per sub-block. */
  readonly sub: number;
  readonly levels: Levels;
  readonly lowestScale: number;
  readonly highestScale: number;
  /** Scale codes that the largest sub-block scale is tried at. */
  readonly starts: readonly number[];
  /** How many scales of either sign the fit of a sub-block starts from. */
  readonly steps: number;
}

/** The shape with consecutive integer codes and groups of 16, which the compiled search knows. */
export interface CodeRangeShape extends SuperScaleShape {
  readonly sub: 16;
  readonly levels: CodeRange;
}

/** What a super-block is encoded as, but for the codes of the weights. `d` is the bits of a half. */
export interface SuperScales {
  d: number;
  readonly scales: Int8Array;
}

export type SuperScaleSearch = (values: Float64Array, weights: Float64Array) => SuperScales;

/**
 * An encoder's search for one shape; the returned function fills and returns the same object every time.
 *
 * Every sub-block is first fitted alone, with a scale of either sign. Then d is set so that the largest scale
 * gets one of the starting codes; every sub-block picks the scale code next to one of its own fits that has the
 * least error with the weights rounded anew; d moves to its least-squares value for these codes; and so on while
 * the error falls.
 */
export function superScaleSearch(shape: SuperScaleShape): SuperScaleSearch {
  const { sub, levels, lowestScale, highestScale, starts, steps } = shape;
  const subs = SUPER_BLOCK / sub;
  const fits = [new Float64Array(subs), new Float64Array(subs)] as const;
  const p = new Float64Array(subs);
  const q = new Float64Array(subs);
  const scales = new Int8Array(subs);
  const best: SuperScales = { d: 0, scales: new Int8Array(subs) };

  /** Picks the scale code of every sub-block for the half `d`; returns the change of the error against zeros. */
  function choose(values: Float64Array, weights: Float64Array, d: number): number {
    const step = f16ToF32(d);
    const inverse = inverseOf(step);
    let total = 0;
    for (let j = 0; j < subs; j++) {
      let bestCost = Infinity;
      for (const fit of fits) {
        const middle = nearestCode(fit[j]!, inverse, lowestScale, highestScale);
        const highest = Math.min(highestScale, middle + 1);
        for (let scale = Math.max(lowestScale, middle - 1); scale <= highest; scale++) {
          levels.measure(values, weights, j * sub, sub, step * scale);
          const cost = step * scale * (step * scale * moments.q - 2 * moments.p);
          if (cost < bestCost) {
            bestCost = cost;
            scales[j] = scale;
            p[j] = moments.p;
            q[j] = moments.q;
          }
        }
      }
      total += bestCost;
    }
    return total;
  }

  /** Least-squares d for the chosen codes. */
  function refit(): number {
    let numerator = 0;
    let denominator = 0;
    for (let j = 0; j < subs; j++) {
      numerator += scales[j]! * p[j]!;
      denominator += scales[j]! * scales[j]! * q[j]!;
    }
    return denominator > 0 ? numerator / denominator : 0;
  }

  return (values, weights) => {
    let largest = 0;
    for (let j = 0; j < subs; j++) {
      let bestGain = -1;
      let bestFit = 0;
      for (let side = 0; side < 2; side++) {
        const scale = fitScale(values, weights, j * sub, sub, levels, 1 - 2 * side, steps);
        fits[side]![j] = scale;
        if (scale * moments.p > bestGain) {
          bestGain = scale * moments.p;
          bestFit = scale;
        }
      }
      if (Math.abs(bestFit) > Math.abs(largest)) {
        largest = bestFit;
      }
    }
    let bestCost = Infinity;
    const tryValue = (d: number): number => {
      const half = scaleToHalf(d);
      const cost = choose(values, weights, half);
      if (cost < bestCost) {
        bestCost = cost;
        best.d = half;
        best.scales.set(scales);
      }
      return cost;
    };
    searchFromStarts(
      starts.map((start) => largest / start),
      KEPT_STARTS,
      tryValue,
      refit,
    );
    return best;
  };
}
