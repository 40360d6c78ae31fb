// Super-blocks of 256 weights ≈ d · scale · code − dmin · offset, with a scale and an offset per sub-block.
import { affineError, AffineSums, fitAffine, lineOffset, lineScale, newSums, sumCodes, sumWeights } from './affine-fit';
import { float, halfOf, inverseOf, scaleOf, setFloat } from './block';

const MAX_ROUNDS = 6;

@unmanaged
export class AffineShape {
  /** Bytes of the weights of a sub-block as floats. */
  subBytes: usize;
  /** Largest code of a weight, and of a scale or an offset. */
  last: f32;
  lastScale: f32;
  /** How far from its rounded value a scale code is tried. */
  spread: f32;
  /** For the fits of sub-blocks: ranges tried, the narrowest of them, and how many starts are refined. */
  steps: i32;
  narrowest: f32;
  keptFits: i32;
  /**
   * How many values of d and dmin are tried: those that give the largest scale the last code, or one that is `stride`,
   * `2 · stride`, … lower.
   */
  starts: i32;
  stride: f32;
}

const trial = changetype<AffineSums>(newSums(1));
const sums = newSums(16);
const fitScales = memory.data(64, 16);
const fitOffsets = memory.data(64, 16);
const scales = memory.data(16, 16);
const offsets = memory.data(16, 16);
let stepScale: f32 = 0;
let stepOffset: f32 = 0;

let bestError: f32 = 0;
export let bestD: u32 = 0;
export let bestDmin: u32 = 0;
/** u8[16] each: the chosen codes of the sub-blocks. */
export const bestScales = memory.data(16, 16);
export const bestOffsets = memory.data(16, 16);

@inline
function sumsOf(j: i32): AffineSums {
  return changetype<AffineSums>(sums + <usize>j * offsetof<AffineSums>());
}

@inline
function nearestCode(value: f32, inverse: f32, last: f32): f32 {
  return min(max(nearest<f32>(value * inverse), 0), last);
}

/** Picks the codes of every sub-block for d and dmin; returns the error. */
function choose(shape: AffineShape, step: f32, offsetStep: f32): f32 {
  const inverse = inverseOf(step);
  const offsetInverse = inverseOf(offsetStep);
  const bytes = shape.subBytes;
  const subs = <i32>(<usize>1024 / bytes);
  let total: f32 = 0;
  for (let j = 0; j < subs; j++) {
    const from = <usize>j * bytes;
    const chosen = sumsOf(j);
    trial.w = chosen.w;
    trial.x = chosen.x;
    trial.xx = chosen.xx;
    let least: f32 = Infinity;
    const middle = nearestCode(float(fitScales, j), inverse, shape.lastScale);
    const fitOffset = nearestCode(float(fitOffsets, j), offsetInverse, shape.lastScale);
    const highest = min(shape.lastScale, middle + shape.spread);
    for (let scale = max<f32>(0, middle - shape.spread); scale <= highest; scale += 1) {
      let offset = fitOffset;
      for (let attempt = 0; attempt < 2; attempt++) {
        sumCodes(from, bytes, step * scale, offsetStep * offset, shape.last, trial);
        const error = affineError(trial, step * scale, offsetStep * offset);
        if (error < least) {
          least = error;
          chosen.q = trial.q;
          chosen.qq = trial.qq;
          chosen.xq = trial.xq;
          store<u8>(scales + <usize>j, <u8>scale);
          store<u8>(offsets + <usize>j, <u8>offset);
        }
        // With this scale and these codes, the best offset is this one.
        const better = nearestCode((step * scale * trial.q - trial.x) / trial.w, offsetInverse, shape.lastScale);
        if (better == offset) break;
        offset = better;
      }
    }
    total += least;
  }
  return total;
}

/** Least-squares d and dmin for the chosen codes, to `stepScale` and `stepOffset`. */
function refit(subs: i32): void {
  let scaleScale: f32 = 0;
  let scaleOffset: f32 = 0;
  let offsetOffset: f32 = 0;
  let valueScale: f32 = 0;
  let valueOffset: f32 = 0;
  for (let j = 0; j < subs; j++) {
    const s = sumsOf(j);
    const scale = <f32>load<u8>(scales + <usize>j);
    const offset = <f32>load<u8>(offsets + <usize>j);
    scaleScale += scale * scale * s.qq;
    scaleOffset += scale * offset * s.q;
    offsetOffset += offset * offset * s.w;
    valueScale += scale * s.xq;
    valueOffset += offset * s.x;
  }
  const determinant = scaleScale * offsetOffset - scaleOffset * scaleOffset;
  if (determinant > 1e-6 * scaleScale * offsetOffset) {
    stepScale = (valueScale * offsetOffset - valueOffset * scaleOffset) / determinant;
    stepOffset = (scaleOffset * valueScale - scaleScale * valueOffset) / determinant;
  } else {
    stepScale = scaleScale > 0 ? valueScale / scaleScale : 0;
    stepOffset = offsetOffset > 0 ? -valueOffset / offsetOffset : 0;
  }
}

function tryValue(shape: AffineShape, scale: f32, offset: f32): f32 {
  const d = halfOf(scale);
  const dmin = halfOf(offset);
  const error = choose(shape, scaleOf(d), scaleOf(dmin));
  if (error < bestError) {
    bestError = error;
    bestD = d;
    bestDmin = dmin;
    v128.store(bestScales, v128.load(scales));
    v128.store(bestOffsets, v128.load(offsets));
  }
  return error;
}

/** Searches the super-block in `values` and `weights`, to `bestD`, `bestDmin`, `bestScales` and `bestOffsets`. */
export function searchSuperAffine(shape: AffineShape): void {
  const bytes = shape.subBytes;
  const subs = <i32>(<usize>1024 / bytes);
  let largestScale: f32 = 0;
  let largestOffset: f32 = 0;
  for (let j = 0; j < subs; j++) {
    const from = <usize>j * bytes;
    fitAffine(from, bytes, shape.last, 0, shape.steps, shape.narrowest, shape.keptFits);
    sumWeights(from, bytes, sumsOf(j));
    setFloat(fitScales, j, lineScale);
    setFloat(fitOffsets, j, lineOffset);
    largestScale = max(largestScale, lineScale);
    largestOffset = max(largestOffset, lineOffset);
  }
  bestError = Infinity;
  let leastStart: f32 = Infinity;
  let start: f32 = 0;
  for (let n = 0; n < shape.starts; n++) {
    const code = shape.lastScale - shape.stride * <f32>n;
    const error = tryValue(shape, largestScale / code, largestOffset / code);
    if (error < leastStart) {
      leastStart = error;
      start = code;
    }
  }
  let previous = shape.starts == 1 ? leastStart : tryValue(shape, largestScale / start, largestOffset / start);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    refit(subs);
    const next = tryValue(shape, stepScale, stepOffset);
    if (!(next < previous)) break;
    previous = next;
  }
}
