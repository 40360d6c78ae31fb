import { inverseOf, nearestCode } from './scale-fit.js';

/**
 * Fits of `values ≈ scale · code − offset` with codes 0..last.
 *
 * The sums below give the error for any scale and offset at fixed codes, and its least-squares minimum, without
 * going through the weights again.
 */
export interface AffineSums {
  /** Σw, Σwx, Σwx²: the same for all codes. */
  w: number;
  x: number;
  xx: number;
  /** Σwq, Σwqq, Σwxq for the codes q. */
  q: number;
  qq: number;
  xq: number;
}

export function emptySums(): AffineSums {
  return { w: 0, x: 0, xx: 0, q: 0, qq: 0, xq: 0 };
}

export interface Affine {
  scale: number;
  offset: number;
}

/** Sums Σw, Σwx and Σwx² of `count` weights from `from` into `sums`. */
export function sumWeights(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  sums: AffineSums,
): void {
  let w = 0;
  let x = 0;
  let xx = 0;
  for (let i = from; i < from + count; i++) {
    const weighted = weights[i]! * values[i]!;
    w += weights[i]!;
    x += weighted;
    xx += weighted * values[i]!;
  }
  sums.w = w;
  sums.x = x;
  sums.xx = xx;
}

/** Sums Σwq, Σwqq and Σwxq for the codes nearest at `scale` and `offset` into `sums`. */
export function sumCodes(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  scale: number,
  offset: number,
  last: number,
  sums: AffineSums,
): void {
  const inverse = inverseOf(scale);
  let q = 0;
  let qq = 0;
  let xq = 0;
  for (let i = from; i < from + count; i++) {
    const code = nearestCode(values[i]! + offset, inverse, 0, last);
    const weighted = weights[i]! * code;
    q += weighted;
    qq += weighted * code;
    xq += weighted * values[i]!;
  }
  sums.q = q;
  sums.qq = qq;
  sums.xq = xq;
}

/** Σw(x − scale·q + offset)² of the summed codes. */
export function affineError(sums: AffineSums, scale: number, offset: number): number {
  return (
    sums.xx +
    scale * (scale * sums.qq - 2 * (sums.xq + offset * sums.q)) +
    offset * (offset * sums.w + 2 * sums.x)
  );
}

/** Least-squares scale and offset of the summed codes, into `result`; with `minOffset` the offset is no lower. */
function solve(sums: AffineSums, minOffset: number, result: Affine): void {
  const determinant = sums.w * sums.qq - sums.q * sums.q;
  if (determinant > 1e-12 * sums.w * sums.qq) {
    const offset = (sums.q * sums.xq - sums.x * sums.qq) / determinant;
    if (offset >= minOffset) {
      result.scale = (sums.w * sums.xq - sums.x * sums.q) / determinant;
      result.offset = offset;
      return;
    }
    result.offset = minOffset;
    result.scale = (sums.xq + minOffset * sums.q) / sums.qq;
    return;
  }
  // All codes are equal: keep the scale, move the offset.
  result.offset = Math.max(minOffset, (result.scale * sums.q - sums.x) / sums.w);
}

const sums = emptySums();
const trial: Affine = { scale: 0, offset: 0 };
const MAX_REFINEMENTS = 4;

/**
 * Scale and offset with the least error over `count` weights from `from`, into `result`. Starts from ranges that
 * reach from beyond the extreme values to well inside them (when few values, or unimportant ones, are extreme),
 * and from each takes turns at new codes and a new least-squares line.
 */
export function fitAffine(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  last: number,
  minOffset: number,
  steps: number,
  result: Affine,
): number {
  let smallest = -minOffset;
  let largest = -Infinity;
  for (let i = from; i < from + count; i++) {
    smallest = Math.min(smallest, values[i]!);
    largest = Math.max(largest, values[i]!);
  }
  result.offset = -smallest;
  result.scale = 0;
  sumWeights(values, weights, from, count, sums);
  if (!(largest > smallest)) {
    return 0;
  }
  let bestError = Infinity;
  for (let step = 0; step < steps; step++) {
    const shrink = 1.08 - (0.5 * step) / steps;
    for (let side = 0; side < 3; side++) {
      const low = side === 1 ? smallest : largest - (largest - smallest) * shrink;
      const high = side === 0 ? largest : smallest + (largest - smallest) * shrink;
      trial.scale = (high - low) / last;
      trial.offset = Math.max(minOffset, -low);
      let previous = Infinity;
      for (let refinement = 0; refinement < MAX_REFINEMENTS; refinement++) {
        sumCodes(values, weights, from, count, trial.scale, trial.offset, last, sums);
        solve(sums, minOffset, trial);
        const error = affineError(sums, trial.scale, trial.offset);
        if (error < bestError) {
          bestError = error;
          result.scale = trial.scale;
          result.offset = trial.offset;
        }
        if (!(error < previous * (1 - 1e-4)) || !(trial.scale > 0)) {
          break;
        }
        previous = error;
      }
    }
  }
  return bestError;
}
