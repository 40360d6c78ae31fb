// Super-blocks with scales only: see src/quant/encode/super-scale.ts and scale-fit.ts.
import { inverseOf, measureScale, momentP, momentQ, nearestCode } from './codes';
import { halfToFloat, scaleToHalf } from './half-float';
import { double } from './hull';

const SUB = 16;
const SUB_BYTES: usize = 128;
const MAX_REFINEMENTS = 8;
const KEPT_STARTS = 3;
const MAX_ROUNDS = 8;

/** f64[2][16]: the fit of either sign of every sub-block. */
const fits = memory.data(256, 16);
const p = memory.data(128, 16);
const q = memory.data(128, 16);
const scales = memory.data(16, 16);
const startValues = memory.data(128, 16);
const startCosts = memory.data(128, 16);

let values: usize = 0;
let weights: usize = 0;
let low: f64 = 0;
let high: f64 = 0;
let lowestScale: f64 = 0;
let highestScale: f64 = 0;

let bestCost: f64 = 0;
let bestD: u32 = 0;
let bestScales: usize = 0;

let fitScale: f64 = 0;
let fitP: f64 = 0;
let fitGain: f64 = 0;

function tryFit(from: usize, scale: f64): bool {
  measureScale(values + from, weights + from, SUB, scale, low, high);
  const gain: f64 = momentQ > 0 ? (momentP * momentP) / momentQ : 0;
  if (!(gain > fitGain)) return false;
  fitGain = gain;
  fitP = momentP;
  fitScale = momentP / momentQ;
  return true;
}

/** The best scale of one sign, to `fitScale`, with its P in `fitP`. */
function fit(from: usize, sign: f64, steps: i32): void {
  let largest: f64 = 0;
  for (let i = 0; i < SUB; i++) largest = max(largest, abs(double(values + from, i)));
  fitScale = 0;
  fitP = 0;
  fitGain = 0;
  const reach = max(-low, high);
  for (let step = 0; step < steps; step++) {
    tryFit(from, (sign * largest) / (reach * (0.75 + (0.75 * <f64>step) / <f64>steps)));
  }
  let refinements = 0;
  while (refinements < MAX_REFINEMENTS && tryFit(from, fitScale)) refinements++;
}

function choose(d: f64): f64 {
  const inverse = inverseOf(d);
  let total: f64 = 0;
  for (let j: usize = 0; j < 16; j++) {
    const from = j * SUB_BYTES;
    let least = Infinity;
    for (let side: usize = 0; side < 2; side++) {
      const middle = nearestCode(load<f64>(fits + (side << 7) + (j << 3)), inverse, lowestScale, highestScale);
      const highest = min(highestScale, middle + 1);
      for (let scale = max(lowestScale, middle - 1); scale <= highest; scale += 1) {
        measureScale(values + from, weights + from, SUB, d * scale, low, high);
        const cost = d * scale * (d * scale * momentQ - 2 * momentP);
        if (cost < least) {
          least = cost;
          store<i8>(scales + j, <i8>scale);
          store<f64>(p + (j << 3), momentP);
          store<f64>(q + (j << 3), momentQ);
        }
      }
    }
    total += least;
  }
  return total;
}

function refit(): f64 {
  let numerator: f64 = 0;
  let denominator: f64 = 0;
  for (let j = 0; j < 16; j++) {
    const scale = <f64>load<i8>(scales + <usize>j);
    numerator += scale * double(p, j);
    denominator += scale * scale * double(q, j);
  }
  return denominator > 0 ? numerator / denominator : 0;
}

function tryValue(d: f64): f64 {
  const half = scaleToHalf(d);
  const cost = choose(halfToFloat(half));
  if (cost < bestCost) {
    bestCost = cost;
    bestD = half;
    v128.store(bestScales, v128.load(scales));
  }
  return cost;
}

/**
 * Searches one super-block with codes `lowCode`..`highCode` in sub-blocks of 16.
 * @param x f64[256]
 * @param w f64[256]
 * @param starts f64[startCount], at most 16
 * @param codes i8[16]: scale codes
 * @returns bits of d
 */
export function searchSuperScale(
  x: usize, w: usize, lowCode: i32, highCode: i32, lowestCode: i32, highestCode: i32, starts: usize, startCount: i32,
  steps: i32, codes: usize,
): u32 {
  values = x;
  weights = w;
  low = <f64>lowCode;
  high = <f64>highCode;
  lowestScale = <f64>lowestCode;
  highestScale = <f64>highestCode;
  bestScales = codes;
  bestCost = Infinity;
  let largest: f64 = 0;
  for (let j: usize = 0; j < 16; j++) {
    let bestGain: f64 = -1;
    let bestFit: f64 = 0;
    for (let side: usize = 0; side < 2; side++) {
      fit(j * SUB_BYTES, 1 - 2 * <f64>side, steps);
      store<f64>(fits + (side << 7) + (j << 3), fitScale);
      if (fitScale * fitP > bestGain) {
        bestGain = fitScale * fitP;
        bestFit = fitScale;
      }
    }
    if (abs(bestFit) > abs(largest)) largest = bestFit;
  }
  for (let n = 0; n < startCount; n++) {
    const value = largest / double(starts, n);
    insertStart(n, value, tryValue(value));
  }
  for (let n = 0; n < min(KEPT_STARTS, startCount); n++) {
    let previous = tryValue(double(startValues, n));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const next = tryValue(refit());
      if (!(next < previous)) break;
      previous = next;
    }
  }
  return bestD;
}

/** Keeps the starts sorted by cost, equal ones in the order in which they came. */
function insertStart(count: i32, value: f64, cost: f64): void {
  let at = count;
  for (; at > 0 && double(startCosts, at - 1) > cost; at--) {
    store<f64>(startCosts + (<usize>at << 3), double(startCosts, at - 1));
    store<f64>(startValues + (<usize>at << 3), double(startValues, at - 1));
  }
  store<f64>(startCosts + (<usize>at << 3), cost);
  store<f64>(startValues + (<usize>at << 3), value);
}
