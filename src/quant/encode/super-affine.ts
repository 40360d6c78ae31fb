import { f16ToF32 } from '../float.js';
import {
  type Affine,
  type AffineSums,
  affineError,
  emptySums,
  fitAffine,
  sumCodes,
  sumWeights,
} from './affine-fit.js';
import { searchFromStarts } from './best-starts.js';
import { scaleToHalf } from './block-encoder.js';
import { inverseOf, nearestCode } from './scale-fit.js';

const SUPER_BLOCK = 256;
const KEPT_STARTS = 2;

/** Shape of a super-block of 256 weights ≈ d · scale · code − dmin · offset, with a scale and an offset per sub-block. */
export interface SuperAffineShape {
  /** Weights per sub-block. */
  readonly sub: number;
  /** Largest code of a weight. */
  readonly last: number;
  /** Largest code of a scale or an offset. */
  readonly lastScale: number;
  /** How far from its rounded value a scale code is tried. */
  readonly spread: number;
  /** Largest scale codes that the largest sub-block scale is tried at. */
  readonly starts: readonly number[];
  /** How many ranges the fit of a sub-block starts from. */
  readonly steps: number;
}

/** What a super-block is encoded as. `d` and `dmin` are bits of halves. */
export interface SuperAffineCodes {
  d: number;
  dmin: number;
  readonly scales: Uint8Array;
  readonly offsets: Uint8Array;
  readonly codes: Uint8Array;
}

export type SuperAffineSearch = (values: Float64Array, weights: Float64Array) => SuperAffineCodes;

/**
 * An encoder's search for one shape; the returned function fills and returns the same object every time.
 *
 * Every sub-block is first fitted alone. Then d and dmin are set so that the largest scale and offset reach the
 * end of their codes; every sub-block picks the scale and offset codes near its own fit that have the least
 * error with the weights rounded anew; d and dmin move to their least-squares values for these codes; and so on
 * while the error falls. Several starting values of d and dmin are tried.
 */
export function superAffineSearch(shape: SuperAffineShape): SuperAffineSearch {
  const { sub, last, lastScale, spread, starts, steps } = shape;
  const subs = SUPER_BLOCK / sub;
  const fits: Affine[] = Array.from({ length: subs }, () => ({ scale: 0, offset: 0 }));
  const sums: AffineSums[] = Array.from({ length: subs }, emptySums);
  const trial = emptySums();
  const scales = new Uint8Array(subs);
  const offsets = new Uint8Array(subs);
  const best: SuperAffineCodes = {
    d: 0,
    dmin: 0,
    scales: new Uint8Array(subs),
    offsets: new Uint8Array(subs),
    codes: new Uint8Array(SUPER_BLOCK),
  };

  /** Picks the codes of every sub-block for the halves `d` and `dmin`; returns the error. */
  function choose(values: Float64Array, weights: Float64Array, d: number, dmin: number): number {
    const step = f16ToF32(d);
    const offsetStep = f16ToF32(dmin);
    const offsetInverse = inverseOf(offsetStep);
    let total = 0;
    for (let j = 0; j < subs; j++) {
      const fit = fits[j]!;
      const chosen = sums[j]!;
      let bestError = Infinity;
      const middle = nearestCode(fit.scale, inverseOf(step), 0, lastScale);
      const highest = Math.min(lastScale, middle + spread);
      for (let scale = Math.max(0, middle - spread); scale <= highest; scale++) {
        let offset = nearestCode(fit.offset, offsetInverse, 0, lastScale);
        for (let attempt = 0; attempt < 2; attempt++) {
          trial.w = chosen.w;
          trial.x = chosen.x;
          trial.xx = chosen.xx;
          sumCodes(values, weights, j * sub, sub, step * scale, offsetStep * offset, last, trial);
          const error = affineError(trial, step * scale, offsetStep * offset);
          if (error < bestError) {
            bestError = error;
            chosen.q = trial.q;
            chosen.qq = trial.qq;
            chosen.xq = trial.xq;
            scales[j] = scale;
            offsets[j] = offset;
          }
          // With this scale and these codes, the best offset is this one.
          const better = nearestCode(
            (step * scale * trial.q - trial.x) / trial.w,
            offsetInverse,
            0,
            lastScale,
          );
          if (better === offset) {
            break;
          }
          offset = better;
        }
      }
      total += bestError;
    }
    return total;
  }

  /** Least-squares d and dmin for the chosen codes. */
  function refit(): Affine {
    let scaleScale = 0;
    let scaleOffset = 0;
    let offsetOffset = 0;
    let valueScale = 0;
    let valueOffset = 0;
    for (let j = 0; j < subs; j++) {
      const { w, x, q, qq, xq } = sums[j]!;
      const scale = scales[j]!;
      const offset = offsets[j]!;
      scaleScale += scale * scale * qq;
      scaleOffset += scale * offset * q;
      offsetOffset += offset * offset * w;
      valueScale += scale * xq;
      valueOffset += offset * x;
    }
    const determinant = scaleScale * offsetOffset - scaleOffset * scaleOffset;
    if (determinant > 1e-12 * scaleScale * offsetOffset) {
      return {
        scale: (valueScale * offsetOffset - valueOffset * scaleOffset) / determinant,
        offset: (scaleOffset * valueScale - scaleScale * valueOffset) / determinant,
      };
    }
    return {
      scale: scaleScale > 0 ? valueScale / scaleScale : 0,
      offset: offsetOffset > 0 ? -valueOffset / offsetOffset : 0,
    };
  }

  return (values, weights) => {
    let largestScale = 0;
    let largestOffset = 0;
    for (let j = 0; j < subs; j++) {
      const fit = fits[j]!;
      fitAffine(values, weights, j * sub, sub, last, 0, steps, fit);
      sumWeights(values, weights, j * sub, sub, sums[j]!);
      largestScale = Math.max(largestScale, fit.scale);
      largestOffset = Math.max(largestOffset, fit.offset);
    }
    let bestError = Infinity;
    const tryValue = (steps: Affine): number => {
      const d = scaleToHalf(steps.scale);
      const dmin = scaleToHalf(steps.offset);
      const error = choose(values, weights, d, dmin);
      if (error < bestError) {
        bestError = error;
        best.d = d;
        best.dmin = dmin;
        best.scales.set(scales);
        best.offsets.set(offsets);
      }
      return error;
    };
    searchFromStarts(
      starts.map((start) => ({ scale: largestScale / start, offset: largestOffset / start })),
      KEPT_STARTS,
      tryValue,
      refit,
    );
    for (let i = 0; i < SUPER_BLOCK; i++) {
      const j = Math.floor(i / sub);
      const inverse = inverseOf(f16ToF32(best.d) * best.scales[j]!);
      const offset = f16ToF32(best.dmin) * best.offsets[j]!;
      best.codes[i] = nearestCode(values[i]! + offset, inverse, 0, last);
    }
    return best;
  };
}
