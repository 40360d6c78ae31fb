// Fits of values ≈ scale · code − offset with codes 0..last.
import { float, inverseOf, setFloat, sumLanes, values, weights } from './block';

/** Sums for one set of codes q: the error for any scale and offset follows from them. */
@unmanaged
export class AffineSums {
  /** Σw, Σwx, Σwx²: the same for all codes. */
  w: f32;
  x: f32;
  xx: f32;
  /** Σwq, Σwq², Σwxq */
  q: f32;
  qq: f32;
  xq: f32;
}

export function newSums(count: i32): usize {
  return heap.alloc(<usize>count * offsetof<AffineSums>());
}

export function sumWeights(from: usize, bytes: usize, sums: AffineSums): void {
  let w = f32x4.splat(0);
  let x = f32x4.splat(0);
  let xx = f32x4.splat(0);
  for (let at = from; at < from + bytes; at += 16) {
    const value = v128.load(values + at);
    const weight = v128.load(weights + at);
    const weighted = f32x4.mul(weight, value);
    w = f32x4.add(w, weight);
    x = f32x4.add(x, weighted);
    xx = f32x4.add(xx, f32x4.mul(weighted, value));
  }
  sums.w = sumLanes(w);
  sums.x = sumLanes(x);
  sums.xx = sumLanes(xx);
}

@inline
export function nearestCodes(x: v128, inverses: v128, offsets: v128, last: v128): v128 {
  const scaled = f32x4.nearest(f32x4.mul(f32x4.add(x, offsets), inverses));
  return f32x4.pmin(f32x4.pmax(scaled, f32x4.splat(0)), last);
}

export function sumCodes(from: usize, bytes: usize, scale: f32, offset: f32, last: f32, sums: AffineSums): void {
  const inverses = f32x4.splat(inverseOf(scale));
  const offsets = f32x4.splat(offset);
  const lasts = f32x4.splat(last);
  let q = f32x4.splat(0);
  let qq = f32x4.splat(0);
  let xq = f32x4.splat(0);
  for (let at = from; at < from + bytes; at += 16) {
    const x = v128.load(values + at);
    const codes = nearestCodes(x, inverses, offsets, lasts);
    const weighted = f32x4.mul(v128.load(weights + at), codes);
    q = f32x4.add(q, weighted);
    qq = f32x4.add(qq, f32x4.mul(weighted, codes));
    xq = f32x4.add(xq, f32x4.mul(weighted, x));
  }
  sums.q = sumLanes(q);
  sums.qq = sumLanes(qq);
  sums.xq = sumLanes(xq);
}

/** Σw(x − scale·q + offset)² */
export function affineError(sums: AffineSums, scale: f32, offset: f32): f32 {
  return (
    sums.xx +
    scale * (scale * sums.qq - 2 * (sums.xq + offset * sums.q)) +
    offset * (offset * sums.w + 2 * sums.x)
  );
}

const MAX_REFINEMENTS = 5;
const fitSums = changetype<AffineSums>(newSums(1));

/** The result of `fitAffine`, and its working line. */
export let lineScale: f32 = 0;
export let lineOffset: f32 = 0;

// Starts kept, sorted by error.
const keptErrors = memory.data(16, 16);
const keptScales = memory.data(16, 16);
const keptOffsets = memory.data(16, 16);

function keep(count: i32, error: f32): void {
  let at = count;
  while (at > 0 && error < float(keptErrors, at - 1)) at--;
  if (at == count) return;
  for (let n = count - 1; n > at; n--) {
    setFloat(keptErrors, n, float(keptErrors, n - 1));
    setFloat(keptScales, n, float(keptScales, n - 1));
    setFloat(keptOffsets, n, float(keptOffsets, n - 1));
  }
  setFloat(keptErrors, at, error);
  setFloat(keptScales, at, lineScale);
  setFloat(keptOffsets, at, lineOffset);
}

/** New codes for the line, then the least-squares line for these codes; returns the error. */
function improve(from: usize, bytes: usize, last: f32, minOffset: f32): f32 {
  const s = fitSums;
  sumCodes(from, bytes, lineScale, lineOffset, last, s);
  const determinant = s.w * s.qq - s.q * s.q;
  if (determinant > 1e-6 * s.w * s.qq) {
    lineScale = (s.w * s.xq - s.x * s.q) / determinant;
    lineOffset = (lineScale * s.q - s.x) / s.w;
    if (lineOffset < minOffset) {
      lineOffset = minOffset;
      lineScale = s.xq / s.qq;
    }
  } else {
    lineOffset = max(minOffset, (lineScale * s.q - s.x) / s.w);
  }
  return affineError(s, lineScale, lineOffset);
}

/**
 * Scale and offset with the least error, to `lineScale` and `lineOffset`. Starts from ranges that reach from beyond the
 * extreme values to well inside them, keeping the high end, the low end or the middle; from the `kept` best of them
 * codes and line take turns while the error falls. `minOffset` is 0 or −∞.
 */
export function fitAffine(
  from: usize, bytes: usize, last: f32, minOffset: f32, steps: i32, narrowest: f32, kept: i32,
): void {
  let smallest = -minOffset;
  let largest: f32 = -Infinity;
  for (let at = from; at < from + bytes; at += 4) {
    const value = load<f32>(values + at);
    smallest = min(smallest, value);
    largest = max(largest, value);
  }
  lineOffset = -smallest;
  lineScale = 0;
  if (!(largest > smallest)) return;
  let fittedScale: f32 = 0;
  let fittedOffset = -smallest;
  sumWeights(from, bytes, fitSums);
  for (let n = 0; n < kept; n++) setFloat(keptErrors, n, Infinity);
  const range = largest - smallest;
  for (let step = 0; step < steps; step++) {
    const width = range * (WIDEST - ((WIDEST - narrowest) * <f32>step) / <f32>steps);
    for (let side = 0; side < 3; side++) {
      const low = side == 0 ? largest - width : side == 1 ? smallest : smallest + (range - width) / 2;
      lineScale = width / last;
      lineOffset = max(minOffset, -low);
      keep(kept, improve(from, bytes, last, minOffset));
    }
  }
  let least: f32 = Infinity;
  for (let n = 0; n < kept; n++) {
    lineScale = float(keptScales, n);
    lineOffset = float(keptOffsets, n);
    let error = float(keptErrors, n);
    for (let refinement = 0; ; refinement++) {
      if (error < least) {
        least = error;
        fittedScale = lineScale;
        fittedOffset = lineOffset;
      }
      if (refinement == MAX_REFINEMENTS || !(lineScale > 0)) break;
      const next = improve(from, bytes, last, minOffset);
      if (!(next < error)) break;
      error = next;
    }
  }
  lineScale = fittedScale;
  lineOffset = fittedOffset;
}

/** The widest range, relative to that of the values. */
const WIDEST: f32 = 1.08;
