// Super-blocks of 256 weights ≈ d · scale · level, with a scale per sub-block.
import { float, halfOf, inverseOf, scaleOf, setFloat } from './block';
import { fitScale, fittedGain, fittedScale, Levels, measure, momentP, momentQ, norm } from './scale-levels';

const MAX_ROUNDS = 6;

@unmanaged
export class ScaleShape {
  levels: Levels;
  /** Bytes of the weights of a sub-block as floats. */
  subBytes: usize;
  lowestScale: f32;
  highestScale: f32;
  /** The largest weight of a sub-block is tried at from `nearest` to `farthest` times the largest level. */
  nearest: f32;
  farthest: f32;
  steps: i32;
  /** 2 to fit scales of either sign, 1 for positive ones only. */
  signs: i32;
  /**
   * How many scale codes, from the ends of their range inwards, the largest scale is tried at, and how many of these
   * are refined.
   */
  starts: i32;
  kept: i32;
}

/** f32[2][16]: the fits of every sub-block, of either sign. */
const fits = memory.data(128, 16);
/** u8[16]: how many fits of a sub-block are worth a look. */
const fitCounts = memory.data(16, 16);
const scales = memory.data(16, 16);
const p = memory.data(64, 16);
const q = memory.data(64, 16);
const startValues = memory.data(64, 16);
const startCosts = memory.data(64, 16);

let bestCost: f32 = 0;
let bestD: u32 = 0;
/** i8[16]: the chosen scale codes. */
export const bestScales = memory.data(16, 16);

/** How many times the error of its better fit the other may have. */
const WORTH: f32 = 1.15;

/** Picks the scale code of every sub-block: next to one of its own fits, with the least error. */
function choose(shape: ScaleShape, d: f32): f32 {
  const inverse = inverseOf(d);
  const subs = <i32>(<usize>1024 / shape.subBytes);
  let total: f32 = 0;
  for (let j = 0; j < subs; j++) {
    let least: f32 = Infinity;
    for (let side = 0; side < <i32>load<u8>(fitCounts + <usize>j); side++) {
      const middle = nearest<f32>(float(fits, 16 * side + j) * inverse);
      const highest = min(shape.highestScale, middle + 1);
      for (let scale = max(shape.lowestScale, middle - 1); scale <= highest; scale += 1) {
        measure(shape.levels, <usize>j * shape.subBytes, shape.subBytes, d * scale);
        const cost = d * scale * (d * scale * momentQ - 2 * momentP);
        if (cost < least) {
          least = cost;
          store<i8>(scales + <usize>j, <i8>scale);
          setFloat(p, j, momentP);
          setFloat(q, j, momentQ);
        }
      }
    }
    total += least;
  }
  return total;
}

/** Least-squares d for the chosen codes. */
function refit(subs: i32): f32 {
  let numerator: f32 = 0;
  let denominator: f32 = 0;
  for (let j = 0; j < subs; j++) {
    const scale = <f32>load<i8>(scales + <usize>j);
    numerator += scale * float(p, j);
    denominator += scale * scale * float(q, j);
  }
  return denominator > 0 ? numerator / denominator : 0;
}

function tryValue(shape: ScaleShape, d: f32): f32 {
  const half = halfOf(d);
  const cost = choose(shape, scaleOf(half));
  if (cost < bestCost) {
    bestCost = cost;
    bestD = half;
    v128.store(bestScales, v128.load(scales));
  }
  return cost;
}

/** Searches the super-block in `values` and `weights`; fills `bestScales`, returns bits of d. */
export function searchSuperScale(shape: ScaleShape): u32 {
  const subs = <i32>(<usize>1024 / shape.subBytes);
  const reach = max(-shape.levels.low, shape.levels.high);
  let largest: f32 = 0;
  for (let j = 0; j < subs; j++) {
    const from = <usize>j * shape.subBytes;
    fitScale(shape.levels, from, shape.subBytes, reach, shape.nearest, shape.farthest, shape.steps);
    let scale = fittedScale;
    let count: u8 = 1;
    if (shape.signs == 2) {
      const gain = fittedGain;
      fitScale(shape.levels, from, shape.subBytes, -reach, shape.nearest, shape.farthest, shape.steps);
      setFloat(fits, 16 + j, fittedGain > gain ? scale : fittedScale);
      const all = norm(from, shape.subBytes);
      const better = min(all - gain, all - fittedGain);
      if (max(all - gain, all - fittedGain) < WORTH * better) count = 2;
      if (fittedGain > gain) scale = fittedScale;
    }
    setFloat(fits, j, scale);
    store<u8>(fitCounts + <usize>j, count);
    if (abs(scale) > abs(largest)) largest = scale;
  }
  bestCost = Infinity;
  for (let n = 0; n < shape.starts; n++) {
    const code = n & 1 ? shape.highestScale + 1 - <f32>n : shape.lowestScale + <f32>n;
    const value = largest / code;
    insertStart(n, value, tryValue(shape, value));
  }
  for (let n = 0; n < shape.kept; n++) {
    let previous = tryValue(shape, float(startValues, n));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const next = tryValue(shape, refit(subs));
      if (!(next < previous)) break;
      previous = next;
    }
  }
  return bestD;
}

/** Keeps the starts sorted by cost, equal ones in the order in which they came. */
function insertStart(count: i32, value: f32, cost: f32): void {
  let at = count;
  for (; at > 0 && float(startCosts, at - 1) > cost; at--) {
    setFloat(startCosts, at, float(startCosts, at - 1));
    setFloat(startValues, at, float(startValues, at - 1));
  }
  setFloat(startCosts, at, cost);
  setFloat(startValues, at, value);
}
