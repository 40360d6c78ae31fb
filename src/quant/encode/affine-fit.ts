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
  // Even and odd weights are summed apart, as the lanes of the compiled encoders do.
  let q0 = 0;
  let q1 = 0;
  let qq0 = 0;
  let qq1 = 0;
  let xq0 = 0;
  let xq1 = 0;
  for (let i = from; i < from + count; i += 2) {
    const code0 = nearestCode(values[i]! + offset, inverse, 0, last);
    const code1 = nearestCode(values[i + 1]! + offset, inverse, 0, last);
    const weighted0 = weights[i]! * code0;
    const weighted1 = weights[i + 1]! * code1;
    q0 += weighted0;
    q1 += weighted1;
    qq0 += weighted0 * code0;
    qq1 += weighted1 * code1;
    xq0 += weighted0 * values[i]!;
    xq1 += weighted1 * values[i + 1]!;
  }
  sums.q = q0 + q1;
  sums.qq = qq0 + qq1;
  sums.xq = xq0 + xq1;
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
const KEPT_STARTS = 3;
const MAX_REFINEMENTS = 6;
const kept = Array.from({ length: KEPT_STARTS }, () => ({ error: 0, scale: 0, offset: 0 }));

/**
 * Scale and offset with the least error over `count` weights from `from`, into `result`. Starts from ranges that
 * reach from beyond the extreme values to well inside them (when few values, or unimportant ones, are extreme);
 * from the best of these, new codes and a new least-squares line take turns while the error falls.
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
): void {
  let smallest = -minOffset;
  let largest = -Infinity;
  for (let i = from; i < from + count; i++) {
    smallest = Math.min(smallest, values[i]!);
    largest = Math.max(largest, values[i]!);
  }
  result.offset = -smallest;
  result.scale = 0;
  if (!(largest > smallest)) {
    return;
  }
  sumWeights(values, weights, from, count, sums);
  /** New codes for `trial`, then the line that suits them, into `trial`. */
  const improve = (): number => {
    sumCodes(values, weights, from, count, trial.scale, trial.offset, last, sums);
    solve(sums, minOffset, trial);
    return affineError(sums, trial.scale, trial.offset);
  };
  for (const start of kept) {
    start.error = Infinity;
  }
  const range = largest - smallest;
  for (let step = 0; step < steps; step++) {
    const width = range * (1.08 - (0.5 * step) / steps);
    // The range keeps its high end, its low end, or its middle.
    for (let side = 0; side < 3; side++) {
      const low = side === 0 ? largest - width : side === 1 ? smallest : smallest + (range - width) / 2;
      trial.scale = width / last;
      trial.offset = Math.max(minOffset, -low);
      keepStart(improve(), trial);
    }
  }
  let bestError = Infinity;
  for (const start of kept) {
    trial.scale = start.scale;
    trial.offset = start.offset;
    let error = start.error;
    for (let refinement = 0; ; refinement++) {
      if (error < bestError) {
        bestError = error;
        result.scale = trial.scale;
        result.offset = trial.offset;
      }
      if (refinement === MAX_REFINEMENTS || !(trial.scale > 0)) {
        break;
      }
      const next = improve();
      if (!(next < error)) {
        break;
      }
      error = next;
    }
  }
}

/** Puts a start among the kept ones, which are sorted by error, if it is better than the last of them. */
function keepStart(error: number, { scale, offset }: Affine): void {
  let at = KEPT_STARTS;
  while (at > 0 && error < kept[at - 1]!.error) {
    at--;
  }
  if (at === KEPT_STARTS) {
    return;
  }
  const dropped = kept.pop()!;
  dropped.error = error;
  dropped.scale = scale;
  dropped.offset = offset;
  kept.splice(at, 0, dropped);
}
