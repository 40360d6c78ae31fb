import { f16ToF32 } from '../float.js';
import { searchFromStarts } from './best-starts.js';
import { scaleToHalf } from './block-encoder.js';
import type { Chains } from './hull.js';

/** How a super-block's scale d and the scale codes of its sub-blocks make the scale of a code word. */
export interface LatticeScaleShape {
  readonly subs: number;
  /** Chains per sub-block, of which it uses one: chain of choice v of sub-block j is v · subs + j. */
  readonly variants: number;
  /** What each scale code multiplies d by, ascending. */
  readonly multipliers: Float64Array;
}

/** `d` is the bits of a half; per sub-block the scale code and the variant. */
export interface LatticeScales {
  d: number;
  readonly codes: Uint8Array;
  readonly variants: Uint8Array;
}

/** Starting values of d: from well below the one that gives the largest scale the last code, to far above it. */
const STARTS: number[] = [];
for (let i = 0, start = 0.85; i < 20; i++, start *= 1.07) {
  STARTS.push(start);
}
const KEPT_STARTS = 4;

/**
 * A search for the scales of a super-block, given for every sub-block the chain of its best choices. The returned
 * function fills and returns the same object every time.
 *
 * With the chains, the best code of every sub-block for a given d is found by walking along them. From each of
 * several starting values, d then takes turns with the codes: least squares for fixed codes, new codes for the new d.
 */
export function latticeScaleSearch(shape: LatticeScaleShape): (chains: Chains) => LatticeScales {
  const { subs, variants, multipliers } = shape;
  const codes = new Uint8Array(subs);
  const choices = new Uint8Array(subs);
  const p = new Float64Array(subs);
  const q = new Float64Array(subs);
  const best: LatticeScales = { d: 0, codes: new Uint8Array(subs), variants: new Uint8Array(subs) };

  /** Picks code and variant of every sub-block; returns the change of the error against zeros. */
  function choose(chains: Chains, d: number): number {
    let total = 0;
    for (let j = 0; j < subs; j++) {
      let bestCost = Infinity;
      for (let v = 0; v < variants; v++) {
        const chain = v * subs + j;
        const end = chains.starts[chain + 1]!;
        let at = chains.starts[chain]!;
        for (let code = 0; code < multipliers.length; code++) {
          const scale = d * multipliers[code]!;
          while (at + 1 < end && chains.from[at + 1]! <= scale) {
            at++;
          }
          const cost = scale * (scale * chains.q[at]! - 2 * chains.p[at]!);
          if (cost < bestCost) {
            bestCost = cost;
            codes[j] = code;
            choices[j] = v;
            p[j] = chains.p[at]!;
            q[j] = chains.q[at]!;
          }
        }
      }
      total += bestCost;
    }
    return total;
  }

  /** Least-squares d for the chosen codes. */
  function refit(): number {
    let numerator = 0;
    let denominator = 0;
    for (let j = 0; j < subs; j++) {
      const multiplier = multipliers[codes[j]!]!;
      numerator += multiplier * p[j]!;
      denominator += multiplier * multiplier * q[j]!;
    }
    return denominator > 0 ? numerator / denominator : 0;
  }

  return (chains) => {
    const last = multipliers[multipliers.length - 1]!;
    const reach = largestScale(chains, subs, variants) / last;
    let bestCost = Infinity;
    const tryValue = (d: number): number => {
      const half = scaleToHalf(d);
      const cost = choose(chains, f16ToF32(half));
      if (cost < bestCost) {
        bestCost = cost;
        best.d = half;
        best.codes.set(codes);
        best.variants.set(choices);
      }
      return cost;
    };
    searchFromStarts(
      STARTS.map((start) => start * reach),
      KEPT_STARTS,
      tryValue,
      refit,
    );
    return best;
  };
}

/** The largest of the scales that the sub-blocks would choose for themselves. */
function largestScale(chains: Chains, subs: number, variants: number): number {
  let largest = 0;
  for (let j = 0; j < subs; j++) {
    let bestGain = 0;
    let bestScale = 0;
    for (let v = 0; v < variants; v++) {
      const chain = v * subs + j;
      for (let at = chains.starts[chain]!; at < chains.starts[chain + 1]!; at++) {
        const gain = chains.q[at]! > 0 ? (chains.p[at]! * chains.p[at]!) / chains.q[at]! : 0;
        if (gain > bestGain && chains.p[at]! > 0) {
          bestGain = gain;
          bestScale = chains.p[at]! / chains.q[at]!;
        }
      }
    }
    largest = Math.max(largest, bestScale);
  }
  return largest;
}
