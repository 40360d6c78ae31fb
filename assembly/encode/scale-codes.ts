// d and the scale codes of the groups of a super-block, from samples of what the groups' words can be.
import { float, setFloat, sumLanes } from './block';

/**
 * Words with P = Σwxg and Q = Σwg² change the error by s²Q − 2sP at the scale s, whichever scale they were sought
 * for. Every group has a few such lines; for four groups at a time, the best line and code are found at a given d.
 */
/** f32[24][16]: by line and group. */
const lineP = memory.data(1536, 16);
const lineQ = memory.data(1536, 16);
/** P / Q: the scale that is best for the words. */
const lineScale = memory.data(1536, 16);
let groups: i32 = 0;
let lineCount: i32 = 0;

export function clearLines(groupCount: i32): void {
  groups = groupCount;
  lineCount = 0;
}

export function addLine(group: i32, line: i32, p: f32, q: f32): void {
  lineCount = max(lineCount, line + 1);
  const at = line * 16 + group;
  setFloat(lineP, at, p);
  setFloat(lineQ, at, q);
  setFloat(lineScale, at, q > 0 ? p / q : 0);
}

const codes = memory.data(64, 16);
const lines = memory.data(64, 16);
const chosenP = memory.data(64, 16);
const chosenQ = memory.data(64, 16);
const bestCodes = memory.data(64, 16);
const bestLines = memory.data(64, 16);
export let bestScale: f32 = 0;

/** Picks a line and a code for every group; returns the change of the error against zeros. */
function choose(step: f32, lastCode: i32): f32 {
  const inverses = f32x4.splat(<f32>0.5 / step);
  const steps = f32x4.splat(step);
  const last = f32x4.splat(<f32>lastCode);
  const half = f32x4.splat(0.5);
  let total = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>groups << 2; at += 16) {
    let bestCost = f32x4.splat(0);
    let bestCode = f32x4.splat(0);
    let bestLine = f32x4.splat(0);
    let bestP = f32x4.splat(0);
    let bestQ = f32x4.splat(0);
    for (let line = 0; line < lineCount; line++) {
      const from = at + (<usize>line << 6);
      const p = v128.load(lineP + from);
      const q = v128.load(lineQ + from);
      const rounded = f32x4.nearest(f32x4.sub(f32x4.mul(v128.load(lineScale + from), inverses), half));
      const code = f32x4.pmin(f32x4.pmax(rounded, f32x4.splat(0)), last);
      const scale = f32x4.mul(steps, f32x4.add(f32x4.add(code, code), f32x4.splat(1)));
      const cost = f32x4.mul(scale, f32x4.sub(f32x4.mul(scale, q), f32x4.add(p, p)));
      const better = line == 0 ? i32x4.splat(-1) : f32x4.lt(cost, bestCost);
      bestCost = v128.bitselect(cost, bestCost, better);
      bestCode = v128.bitselect(code, bestCode, better);
      bestLine = v128.bitselect(f32x4.splat(<f32>line), bestLine, better);
      bestP = v128.bitselect(p, bestP, better);
      bestQ = v128.bitselect(q, bestQ, better);
    }
    total = f32x4.add(total, bestCost);
    v128.store(codes + at, bestCode);
    v128.store(lines + at, bestLine);
    v128.store(chosenP + at, bestP);
    v128.store(chosenQ + at, bestQ);
  }
  return sumLanes(total);
}

/** Least-squares d for the chosen codes, times the unit. */
function refit(): f32 {
  let numerator = f32x4.splat(0);
  let denominator = f32x4.splat(0);
  for (let at: usize = 0; at < <usize>groups << 2; at += 16) {
    const code = v128.load(codes + at);
    const multiplier = f32x4.add(f32x4.add(code, code), f32x4.splat(1));
    numerator = f32x4.add(numerator, f32x4.mul(multiplier, v128.load(chosenP + at)));
    denominator = f32x4.add(
      denominator, f32x4.mul(f32x4.mul(multiplier, multiplier), v128.load(chosenQ + at)));
  }
  const sum = sumLanes(denominator);
  return sum > 0 ? sumLanes(numerator) / sum : 0;
}

let bestCost: f32 = 0;

function tryStep(step: f32, lastCode: i32, unit: f32): bool {
  if (!(step > 1e-15)) return false;
  const cost = choose(step, lastCode);
  if (!(cost < bestCost)) return false;
  bestCost = cost;
  bestScale = step / unit;
  memory.copy(bestCodes, codes, 64);
  memory.copy(bestLines, lines, 64);
  return true;
}

const STARTS = 8;
const FIRST_START: f32 = 0.88;
const START_STEP: f32 = 1.14;

/** Searches d and the codes; see `bestScale`, `bestCode` and `bestLine`. */
export function chooseCodes(unit: f32, lastCode: i32): void {
  bestCost = Infinity;
  bestScale = 0;
  memory.fill(bestCodes, 0, 64);
  memory.fill(bestLines, 0, 64);
  let largest: f32 = 0;
  for (let group = 0; group < groups; group++) {
    let gain: f32 = 0;
    let own: f32 = 0;
    for (let line = 0; line < lineCount; line++) {
      const at = line * 16 + group;
      const scale = float(lineScale, at);
      if (scale * float(lineP, at) > gain && scale > 0) {
        gain = scale * float(lineP, at);
        own = scale;
      }
    }
    largest = max(largest, own);
  }
  let step = (FIRST_START * largest) / <f32>(lastCode + lastCode + 1);
  for (let start = 0; start < STARTS; start++) {
    tryStep(step, lastCode, unit);
    if (step > 1e-15) tryStep(refit(), lastCode, unit);
    step *= START_STEP;
  }
  for (let round = 0; round < 3 && bestScale > 0; round++) {
    choose(bestScale * unit, lastCode);
    if (!tryStep(refit(), lastCode, unit)) break;
  }
}

export function bestCode(group: i32): i32 {
  return <i32>float(bestCodes, group);
}

export function bestLine(group: i32): i32 {
  return <i32>float(bestLines, group);
}
