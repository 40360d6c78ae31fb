// Super-blocks with scales and offsets: see src/quant/encode/super-affine.ts and affine-fit.ts.
import { affineError, AffineSums, inverseOf, nearestCode, sumCodes, sumWeights } from './codes';
import { halfToFloat, scaleToHalf } from './half-float';
import { double } from './hull';

const KEPT_FITS = 3;
const MAX_REFINEMENTS = 6;
const KEPT_STARTS = 2;
const MAX_ROUNDS = 8;
const MAX_STARTS = 16;

function newSums(): AffineSums {
  return changetype<AffineSums>(heap.alloc(offsetof<AffineSums>()));
}

const fitSums = newSums();
const trial = newSums();
const sums = heap.alloc(16 * offsetof<AffineSums>());
const fitScales = memory.data(128, 16);
const fitOffsets = memory.data(128, 16);
const scales = memory.data(16, 16);
const offsets = memory.data(16, 16);
let lineScale: f64 = 0;
let lineOffset: f64 = 0;

// Kept starts, sorted by error: error, scale, offset.
const keptErrors = memory.data(128, 16);
const keptScales = memory.data(128, 16);
const keptOffsets = memory.data(128, 16);

let values: usize = 0;
let weights: usize = 0;
let sub: i32 = 0;
let last: f64 = 0;
let lastScale: f64 = 0;
let spread: f64 = 0;

let bestError: f64 = 0;
let bestD: u32 = 0;
let bestDmin: u32 = 0;
let bestCodes: usize = 0;

// @ts-ignore: decorator
@inline
function set(array: usize, at: i32, value: f64): void {
  store<f64>(array + (<usize>at << 3), value);
}

/** Inserts a start after those with no higher error; the last of `count` falls out. */
function keep(count: i32, error: f64, scale: f64, offset: f64): void {
  let at = count;
  while (at > 0 && error < double(keptErrors, at - 1)) at--;
  if (at == count) return;
  for (let n = count - 1; n > at; n--) {
    set(keptErrors, n, double(keptErrors, n - 1));
    set(keptScales, n, double(keptScales, n - 1));
    set(keptOffsets, n, double(keptOffsets, n - 1));
  }
  set(keptErrors, at, error);
  set(keptScales, at, scale);
  set(keptOffsets, at, offset);
}

function clearKept(count: i32): void {
  for (let n = 0; n < count; n++) set(keptErrors, n, Infinity);
}

/** New codes for the line, then the least-squares line, whose offset is not negative, for these codes. */
function improve(x: usize, w: usize): f64 {
  sumCodes(x, w, sub, lineScale, lineOffset, last, fitSums);
  const s = fitSums;
  const determinant = s.w * s.qq - s.q * s.q;
  if (determinant > 1e-12 * s.w * s.qq) {
    const offset = (s.q * s.xq - s.x * s.qq) / determinant;
    if (offset >= 0) {
      lineScale = (s.w * s.xq - s.x * s.q) / determinant;
      lineOffset = offset;
    } else {
      lineOffset = 0;
      lineScale = s.xq / s.qq;
    }
  } else {
    lineOffset = max<f64>(0, (lineScale * s.q - s.x) / s.w);
  }
  return affineError(s, lineScale, lineOffset);
}

function fitAffine(j: i32, steps: i32): void {
  const from = <usize>(j * sub) << 3;
  const x = values + from;
  const w = weights + from;
  let smallest: f64 = 0;
  let largest = -Infinity;
  for (let i = 0; i < sub; i++) {
    smallest = min(smallest, double(x, i));
    largest = max(largest, double(x, i));
  }
  set(fitOffsets, j, -smallest);
  set(fitScales, j, 0);
  if (!(largest > smallest)) return;
  sumWeights(x, w, sub, fitSums);
  clearKept(KEPT_FITS);
  const range = largest - smallest;
  for (let step = 0; step < steps; step++) {
    const width = range * (1.08 - (0.5 * <f64>step) / <f64>steps);
    for (let side = 0; side < 3; side++) {
      const low = side == 0 ? largest - width : side == 1 ? smallest : smallest + (range - width) / 2;
      lineScale = width / last;
      lineOffset = max<f64>(0, -low);
      const error = improve(x, w);
      keep(KEPT_FITS, error, lineScale, lineOffset);
    }
  }
  let least = Infinity;
  for (let n = 0; n < KEPT_FITS; n++) {
    lineScale = double(keptScales, n);
    lineOffset = double(keptOffsets, n);
    let error = double(keptErrors, n);
    for (let refinement = 0; ; refinement++) {
      if (error < least) {
        least = error;
        set(fitScales, j, lineScale);
        set(fitOffsets, j, lineOffset);
      }
      if (refinement == MAX_REFINEMENTS || !(lineScale > 0)) break;
      const next = improve(x, w);
      if (!(next < error)) break;
      error = next;
    }
  }
}

// @ts-ignore: decorator
@inline
function sumsOf(j: i32): AffineSums {
  return changetype<AffineSums>(sums + <usize>j * offsetof<AffineSums>());
}

function choose(step: f64, offsetStep: f64): f64 {
  const inverse = inverseOf(step);
  const offsetInverse = inverseOf(offsetStep);
  const subs = 256 / sub;
  let total: f64 = 0;
  for (let j = 0; j < subs; j++) {
    const from = <usize>(j * sub) << 3;
    const chosen = sumsOf(j);
    trial.w = chosen.w;
    trial.x = chosen.x;
    trial.xx = chosen.xx;
    let least = Infinity;
    const middle = nearestCode(double(fitScales, j), inverse, 0, lastScale);
    const fitOffset = nearestCode(double(fitOffsets, j), offsetInverse, 0, lastScale);
    const highest = min(lastScale, middle + spread);
    for (let scale = max<f64>(0, middle - spread); scale <= highest; scale += 1) {
      let offset = fitOffset;
      for (let attempt = 0; attempt < 2; attempt++) {
        sumCodes(values + from, weights + from, sub, step * scale, offsetStep * offset, last, trial);
        const error = affineError(trial, step * scale, offsetStep * offset);
        if (error < least) {
          least = error;
          chosen.q = trial.q;
          chosen.qq = trial.qq;
          chosen.xq = trial.xq;
          store<u8>(scales + <usize>j, <u8>scale);
          store<u8>(offsets + <usize>j, <u8>offset);
        }
        const better = nearestCode((step * scale * trial.q - trial.x) / trial.w, offsetInverse, 0, lastScale);
        if (better == offset) break;
        offset = better;
      }
    }
    total += least;
  }
  return total;
}

/** Least-squares steps for the chosen codes, to `lineScale` and `lineOffset`. */
function refit(): void {
  const subs = 256 / sub;
  let scaleScale: f64 = 0;
  let scaleOffset: f64 = 0;
  let offsetOffset: f64 = 0;
  let valueScale: f64 = 0;
  let valueOffset: f64 = 0;
  for (let j = 0; j < subs; j++) {
    const s = sumsOf(j);
    const scale = <f64>load<u8>(scales + <usize>j);
    const offset = <f64>load<u8>(offsets + <usize>j);
    scaleScale += scale * scale * s.qq;
    scaleOffset += scale * offset * s.q;
    offsetOffset += offset * offset * s.w;
    valueScale += scale * s.xq;
    valueOffset += offset * s.x;
  }
  const determinant = scaleScale * offsetOffset - scaleOffset * scaleOffset;
  if (determinant > 1e-12 * scaleScale * offsetOffset) {
    lineScale = (valueScale * offsetOffset - valueOffset * scaleOffset) / determinant;
    lineOffset = (scaleOffset * valueScale - scaleScale * valueOffset) / determinant;
  } else {
    lineScale = scaleScale > 0 ? valueScale / scaleScale : 0;
    lineOffset = offsetOffset > 0 ? -valueOffset / offsetOffset : 0;
  }
}

function tryValue(scale: f64, offset: f64): f64 {
  const d = scaleToHalf(scale);
  const dmin = scaleToHalf(offset);
  const error = choose(halfToFloat(d), halfToFloat(dmin));
  if (error < bestError) {
    bestError = error;
    bestD = d;
    bestDmin = dmin;
    v128.store(bestCodes, v128.load(scales));
    v128.store(bestCodes, v128.load(offsets), 16);
  }
  return error;
}

/**
 * Searches one super-block.
 * @param x f64[256]
 * @param w f64[256]
 * @param starts f64[startCount], at most 16
 * @param codes u8[16] scale codes, u8[16] offset codes, u8[256] codes of the weights
 * @returns bits of d, and of dmin from bit 16 on
 */
export function searchSuperAffine(
  x: usize, w: usize, subSize: i32, lastCode: i32, lastScaleCode: i32, scaleSpread: i32, starts: usize,
  startCount: i32, steps: i32, codes: usize,
): u32 {
  values = x;
  weights = w;
  sub = subSize;
  last = <f64>lastCode;
  lastScale = <f64>lastScaleCode;
  spread = <f64>scaleSpread;
  bestCodes = codes;
  bestError = Infinity;
  const subs = 256 / sub;
  let largestScale: f64 = 0;
  let largestOffset: f64 = 0;
  for (let j = 0; j < subs; j++) {
    fitAffine(j, steps);
    const from = <usize>(j * sub) << 3;
    sumWeights(x + from, w + from, sub, sumsOf(j));
    largestScale = max(largestScale, double(fitScales, j));
    largestOffset = max(largestOffset, double(fitOffsets, j));
  }
  clearKept(MAX_STARTS);
  for (let n = 0; n < startCount; n++) {
    const scale = largestScale / double(starts, n);
    const offset = largestOffset / double(starts, n);
    keep(MAX_STARTS, tryValue(scale, offset), scale, offset);
  }
  for (let n = 0; n < min(KEPT_STARTS, startCount); n++) {
    let previous = tryValue(double(keptScales, n), double(keptOffsets, n));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      refit();
      const next = tryValue(lineScale, lineOffset);
      if (!(next < previous)) break;
      previous = next;
    }
  }
  const step = halfToFloat(bestD);
  const offsetStep = halfToFloat(bestDmin);
  for (let i = 0; i < 256; i++) {
    const j = <usize>(i / sub);
    const inverse = inverseOf(step * <f64>load<u8>(codes + j));
    const offset = offsetStep * <f64>load<u8>(codes + 16 + j);
    store<u8>(codes + 32 + <usize>i, <u8>nearestCode(double(x, i) + offset, inverse, 0, last));
  }
  return bestD | (bestDmin << 16);
}
