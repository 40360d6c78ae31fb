// d and the scale codes of a super-block: see src/quant/encode/lattice-scales.ts and best-starts.ts.
import { halfToFloat, scaleToHalf } from './half-float';
import { Chains, chainStart, double } from './hull';

const STARTS = 20;
const KEPT_STARTS = 4;
const MAX_ROUNDS = 8;

let subs: i32 = 0;
let variants: i32 = 0;
let multipliers: usize = 0;
let multiplierCount: i32 = 0;

const codes = memory.data(16, 16);
const choices = memory.data(16, 16);
const p = memory.data(128, 16);
const q = memory.data(128, 16);
const startValues = memory.data(160, 16);
const startCosts = memory.data(160, 16);

/** The result: d as the bits of a half, u8[16] scale codes, u8[16] variants. */
export let bestD: u32 = 0;
export const bestCodes = memory.data(16, 16);
export const bestVariants = memory.data(16, 16);
let bestCost: f64 = 0;

function choose(chains: Chains, d: f64): f64 {
  let total: f64 = 0;
  for (let j = 0; j < subs; j++) {
    let least = Infinity;
    for (let v = 0; v < variants; v++) {
      const chain = v * subs + j;
      const end = chainStart(chains, chain + 1);
      let at = chainStart(chains, chain);
      for (let code = 0; code < multiplierCount; code++) {
        const scale = d * double(multipliers, code);
        while (at + 1 < end && double(chains.from, at + 1) <= scale) at++;
        const cost = scale * (scale * double(chains.q, at) - 2 * double(chains.p, at));
        if (cost < least) {
          least = cost;
          store<u8>(codes + <usize>j, <u8>code);
          store<u8>(choices + <usize>j, <u8>v);
          store<f64>(p + (<usize>j << 3), double(chains.p, at));
          store<f64>(q + (<usize>j << 3), double(chains.q, at));
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
  for (let j = 0; j < subs; j++) {
    const multiplier = double(multipliers, load<u8>(codes + <usize>j));
    numerator += multiplier * double(p, j);
    denominator += multiplier * multiplier * double(q, j);
  }
  return denominator > 0 ? numerator / denominator : 0;
}

function tryValue(chains: Chains, d: f64): f64 {
  const half = scaleToHalf(d);
  const cost = choose(chains, halfToFloat(half));
  if (cost < bestCost) {
    bestCost = cost;
    bestD = half;
    v128.store(bestCodes, v128.load(codes));
    v128.store(bestVariants, v128.load(choices));
  }
  return cost;
}

function largestScale(chains: Chains): f64 {
  let largest: f64 = 0;
  for (let j = 0; j < subs; j++) {
    let bestGain: f64 = 0;
    let bestScale: f64 = 0;
    for (let v = 0; v < variants; v++) {
      const chain = v * subs + j;
      const end = chainStart(chains, chain + 1);
      for (let at = chainStart(chains, chain); at < end; at++) {
        const pAt = double(chains.p, at);
        const qAt = double(chains.q, at);
        const gain: f64 = qAt > 0 ? (pAt * pAt) / qAt : 0;
        if (gain > bestGain && pAt > 0) {
          bestGain = gain;
          bestScale = pAt / qAt;
        }
      }
    }
    largest = max(largest, bestScale);
  }
  return largest;
}

export function findScales(
  chains: Chains, subCount: i32, variantCount: i32, multiplierTable: usize, tableLength: i32,
): void {
  subs = subCount;
  variants = variantCount;
  multipliers = multiplierTable;
  multiplierCount = tableLength;
  bestCost = Infinity;
  const reach = largestScale(chains) / double(multipliers, multiplierCount - 1);
  let start: f64 = 0.85;
  for (let i = 0; i < STARTS; i++) {
    insertStart(i, start * reach, tryValue(chains, start * reach));
    start *= 1.07;
  }
  for (let kept = 0; kept < KEPT_STARTS; kept++) {
    let previous = tryValue(chains, double(startValues, kept));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const next = tryValue(chains, refit());
      if (!(next < previous)) break;
      previous = next;
    }
  }
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
