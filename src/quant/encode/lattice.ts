import { addPoint, type Points } from './hull.js';

/**
 * A grid of code words of 4 or 8 values, arranged so that the few that can be best at some scale are found without
 * adding up every word: P and Q are sums over the two halves of a word, and there are few different halves.
 */
export interface Lattice {
  readonly weights: number;
  /** Different first halves and second halves: values, one half after another. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** Words with first half n are those from `starts[n]` up to `starts[n + 1]`. */
  readonly starts: Int32Array;
  /** Second half and original number of every word. */
  readonly highOf: Uint8Array;
  readonly entryOf: Uint16Array;
  readonly sums: HalfSums;
}

/** Per half: P, Q and the least w·x·g, for the low and the high halves. */
interface HalfSums {
  readonly lowP: Float64Array;
  readonly lowQ: Float64Array;
  readonly lowLeast: Float64Array;
  readonly highP: Float64Array;
  readonly highQ: Float64Array;
  readonly highLeast: Float64Array;
}

/** Arranges `grid`, [entries, weights], with `shift` added to every value. */
export function newLattice(grid: Int8Array, weights: number, shift: number): Lattice {
  const half = weights / 2;
  const lows = new Map<string, number>();
  const highs = new Map<string, number>();
  const numberOf = (map: Map<string, number>, values: Int8Array): number => {
    const key = values.join();
    return map.get(key) ?? map.set(key, map.size).size - 1;
  };
  const words = Array.from({ length: grid.length / weights }, (_, entry) => ({
    entry,
    low: numberOf(lows, grid.subarray(entry * weights, entry * weights + half)),
    high: numberOf(highs, grid.subarray(entry * weights + half, (entry + 1) * weights)),
  })).sort((a, b) => a.low - b.low || a.entry - b.entry);
  const valuesOf = (map: Map<string, number>) =>
    Float64Array.from([...map.keys()].flatMap((key) => key.split(',').map((value) => Number(value) + shift)));
  const starts = new Int32Array(lows.size + 1);
  for (const { low } of words) {
    starts[low + 1]!++;
  }
  for (let n = 0; n < lows.size; n++) {
    starts[n + 1]! += starts[n]!;
  }
  const perLow = () => new Float64Array(lows.size);
  const perHigh = () => new Float64Array(highs.size);
  return {
    weights,
    low: valuesOf(lows),
    high: valuesOf(highs),
    starts,
    highOf: Uint8Array.from(words, ({ high }) => high),
    entryOf: Uint16Array.from(words, ({ entry }) => entry),
    sums: {
      lowP: perLow(),
      lowQ: perLow(),
      lowLeast: perLow(),
      highP: perHigh(),
      highQ: perHigh(),
      highLeast: perHigh(),
    },
  };
}

/**
 * Adds the words that may be best at some scale for the weights from `from` on: all corners of their hull, and a
 * few more. With `flipOne` one weight of the word has to take the wrong sign, the one where that costs least.
 * Payloads are the words' numbers plus `tag`.
 */
export function collectCandidates(
  lattice: Lattice,
  values: Float64Array,
  weights: Float64Array,
  from: number,
  flipOne: boolean,
  tag: number,
  points: Points,
): void {
  const { starts, highOf, entryOf, sums } = lattice;
  const { lowP, lowQ, lowLeast, highP, highQ, highLeast } = sums;
  const half = lattice.weights / 2;
  sumHalves(lattice.low, half, values, weights, from, lowP, lowQ, lowLeast);
  sumHalves(lattice.high, half, values, weights, from + half, highP, highQ, highLeast);
  let highestP = -Infinity;
  let lowestQ = Infinity;
  for (let h = 0; h < highP.length; h++) {
    highestP = Math.max(highestP, highP[h]!);
    lowestQ = Math.min(lowestQ, highQ[h]!);
  }

  // The ends of the hull: A with the largest P and B with the least Q.
  let pA = -Infinity;
  let qA = 0;
  let pB = 0;
  let qB = Infinity;
  for (let l = 0; l < lowP.length; l++) {
    const tooLow = lowP[l]! + highestP < pA;
    const tooWide = lowQ[l]! + lowestQ > qB;
    if (tooLow && tooWide) {
      continue;
    }
    for (let word = starts[l]!; word < starts[l + 1]!; word++) {
      const h = highOf[word]!;
      const flip = flipOne ? 2 * Math.min(lowLeast[l]!, highLeast[h]!) : 0;
      const p = lowP[l]! + highP[h]! - flip;
      const q = lowQ[l]! + highQ[h]!;
      if (p > pA || (p === pA && q < qA)) {
        pA = p;
        qA = q;
      }
      if (q < qB || (q === qB && p > pB)) {
        pB = p;
        qB = q;
      }
    }
  }

  // Corners lie on the line AB or above it: P − slope·Q is no less than at A. The margin covers rounding.
  const slope = qA > qB ? (pA - pB) / (qA - qB) : 0;
  const level = pA - slope * qA;
  const threshold = level - 1e-12 * (Math.abs(pA) + Math.abs(slope * qA));
  let highestLevel = -Infinity;
  for (let h = 0; h < highP.length; h++) {
    highestLevel = Math.max(highestLevel, highP[h]! - slope * highQ[h]!);
  }
  for (let l = 0; l < lowP.length; l++) {
    if (lowP[l]! - slope * lowQ[l]! + highestLevel < threshold) {
      continue;
    }
    for (let word = starts[l]!; word < starts[l + 1]!; word++) {
      const h = highOf[word]!;
      const flip = flipOne ? 2 * Math.min(lowLeast[l]!, highLeast[h]!) : 0;
      const p = lowP[l]! + highP[h]! - flip;
      const q = lowQ[l]! + highQ[h]!;
      if (p - slope * q >= threshold) {
        addPoint(points, p, q, entryOf[word]! + tag);
      }
    }
  }
}

function sumHalves(
  halves: Float64Array,
  half: number,
  values: Float64Array,
  weights: Float64Array,
  from: number,
  p: Float64Array,
  q: Float64Array,
  least: Float64Array,
): void {
  for (let n = 0; n < p.length; n++) {
    let sumP = 0;
    let sumQ = 0;
    let lowest = Infinity;
    for (let i = 0; i < half; i++) {
      const value = halves[n * half + i]!;
      const weighted = weights[from + i]! * value;
      const product = weighted * values[from + i]!;
      sumP += product;
      sumQ += weighted * value;
      lowest = Math.min(lowest, product);
    }
    p[n] = sumP;
    q[n] = sumQ;
    least[n] = lowest;
  }
}
