import { addPoint, type Points } from './hull.js';

/**
 * A grid of code words of 4 or 8 values, arranged so that the few that can be best at some scale are found without
 * adding up every word: P and Q are sums over the two halves of a word, and there are few different halves.
 */
export interface Lattice {
  readonly weights: number;
  /** Mean square of the values. */
  readonly meanSquare: number;
  /** The values that occur, ascending. A half is numbered by their positions, the first weight's counting least. */
  readonly levels: Float64Array;
  /** Words with first half n are those from `starts[n]` up to `starts[n + 1]`. */
  readonly starts: Int32Array;
  /** Second half and original number of every word. */
  readonly highOf: Uint8Array;
  readonly entryOf: Uint16Array;
  /** Sums over the halves of the eight or four weights that words are sought for. */
  readonly low: HalfSums;
  readonly high: HalfSums;
}

/** Per half: P, Q, the least w·x·g, and P − slope·Q for the slope of the moment. */
interface HalfSums {
  readonly p: Float64Array;
  readonly q: Float64Array;
  readonly least: Float64Array;
  readonly level: Float64Array;
}

/** Arranges `grid`, [entries, weights], with `shift` added to every value. */
export function newLattice(grid: Int8Array, weights: number, shift: number): Lattice {
  const levels = [...new Set(grid)].sort((a, b) => a - b);
  const half = weights / 2;
  const halves = levels.length ** half;
  const halfAt = (from: number): number => {
    let number = 0;
    for (let i = half - 1; i >= 0; i--) {
      number = number * levels.length + levels.indexOf(grid[from + i]!);
    }
    return number;
  };
  const words = Array.from({ length: grid.length / weights }, (_, entry) => ({
    entry,
    low: halfAt(entry * weights),
    high: halfAt(entry * weights + half),
  })).sort((a, b) => a.low - b.low || a.entry - b.entry);
  const starts = new Int32Array(halves + 1);
  for (const { low } of words) {
    starts[low + 1]!++;
  }
  for (let n = 0; n < halves; n++) {
    starts[n + 1]! += starts[n]!;
  }
  return {
    weights,
    meanSquare: grid.reduce((sum, value) => sum + (value + shift) ** 2, 0) / grid.length,
    levels: Float64Array.from(levels, (level) => level + shift),
    starts,
    highOf: Uint8Array.from(words, ({ high }) => high),
    entryOf: Uint16Array.from(words, ({ entry }) => entry),
    low: newHalfSums(halves),
    high: newHalfSums(halves),
  };
}

function newHalfSums(halves: number): HalfSums {
  const zeros = () => new Float64Array(halves);
  return { p: zeros(), q: zeros(), least: zeros(), level: zeros() };
}

/**
 * Adds the words that may be best at some scale from `lowScale` to `highScale` for the weights from `from` on: all
 * corners of that part of their hull, and a few more. With `flipOne` one weight of the word has to take the wrong
 * sign, the one where that costs least. Payloads are the words' numbers plus `tag`.
 */
export function collectCandidates(
  lattice: Lattice,
  values: Float64Array,
  weights: Float64Array,
  from: number,
  flipOne: boolean,
  tag: number,
  lowScale: number,
  highScale: number,
  points: Points,
): void {
  const half = lattice.weights / 2;
  sumHalves(lattice.levels, half, values, weights, from, lattice.low);
  sumHalves(lattice.levels, half, values, weights, from + half, lattice.high);
  // The ends of the part: what is best at either end of the scales.
  findBest(lattice, flipOne, lowScale / 2);
  const { p: pA, q: qA } = found;
  findBest(lattice, flipOne, highScale / 2);
  const { p: pB, q: qB } = found;
  // Corners between them lie on the line AB or above it: P − slope·Q is no less than at A, but for rounding.
  const slope = qA > qB ? (pA - pB) / (qA - qB) : highScale / 2;
  const threshold = pA - slope * qA - 1e-12 * (Math.abs(pA) + Math.abs(slope * qA));
  addAbove(lattice, flipOne, slope, threshold, tag, points);
}

const found = { p: 0, q: 0 };

/** Finds the word with the largest P − slope·Q, into `found`. */
function findBest({ starts, highOf, low, high }: Lattice, flipOne: boolean, slope: number): void {
  const highest = fillLevels(high, slope);
  const likely = low.level.indexOf(fillLevels(low, slope));
  let best = -Infinity;
  let bestLow = 0;
  let bestHigh = 0;
  // The most likely first half goes first, because a good word makes most other first halves hopeless.
  for (let n = -1; n < low.level.length; n++) {
    const l = n < 0 ? likely : n;
    const level = low.level[l]!;
    if (level + highest <= best) {
      continue;
    }
    for (let word = starts[l]!; word < starts[l + 1]!; word++) {
      const h = highOf[word]!;
      let sum = level + high.level[h]!;
      if (sum > best && flipOne) {
        sum -= flipCost(low.least[l]!, high.least[h]!);
      }
      if (sum > best) {
        best = sum;
        bestLow = l;
        bestHigh = h;
      }
    }
  }
  const flip = flipOne ? flipCost(low.least[bestLow]!, high.least[bestHigh]!) : 0;
  found.p = low.p[bestLow]! + high.p[bestHigh]! - flip;
  found.q = low.q[bestLow]! + high.q[bestHigh]!;
}

/** Adds the words with P − slope·Q of at least `threshold`. */
function addAbove(
  { starts, highOf, entryOf, low, high }: Lattice,
  flipOne: boolean,
  slope: number,
  threshold: number,
  tag: number,
  points: Points,
): void {
  const highest = fillLevels(high, slope);
  fillLevels(low, slope);
  for (let l = 0; l < low.level.length; l++) {
    const level = low.level[l]!;
    if (level + highest < threshold) {
      continue;
    }
    for (let word = starts[l]!; word < starts[l + 1]!; word++) {
      const h = highOf[word]!;
      const sum = level + high.level[h]!;
      if (sum < threshold) {
        continue;
      }
      const flip = flipOne ? flipCost(low.least[l]!, high.least[h]!) : 0;
      if (sum - flip >= threshold) {
        addPoint(points, low.p[l]! + high.p[h]! - flip, low.q[l]! + high.q[h]!, entryOf[word]! + tag);
      }
    }
  }
}

/** How much P falls when the weight with the least w·x·g takes the wrong sign. */
function flipCost(least: number, otherLeast: number): number {
  return 2 * Math.min(least, otherLeast);
}

/** Sets the levels P − slope·Q of all halves and returns the highest. */
function fillLevels({ p, q, level }: HalfSums, slope: number): number {
  let highest = -Infinity;
  for (let n = 0; n < level.length; n++) {
    const value = p[n]! - slope * q[n]!;
    level[n] = value;
    if (value > highest) {
      highest = value;
    }
  }
  return highest;
}

/** Sums for every half over the two or four weights from `from` on, adding one weight after another. */
function sumHalves(
  levels: Float64Array,
  count: number,
  values: Float64Array,
  weights: Float64Array,
  from: number,
  { p, q, least }: HalfSums,
): void {
  p[0] = 0;
  q[0] = 0;
  least[0] = Infinity;
  let filled = 1;
  for (let i = from; i < from + count; i++) {
    // The first `filled` sums are those of the weights before; level 0 goes last, because it overwrites them.
    for (let n = levels.length - 1; n >= 0; n--) {
      const weighted = weights[i]! * levels[n]!;
      const product = weighted * values[i]!;
      const square = weighted * levels[n]!;
      const to = n * filled;
      for (let m = 0; m < filled; m++) {
        p[to + m] = p[m]! + product;
        q[to + m] = q[m]! + square;
        least[to + m] = Math.min(least[m]!, product);
      }
    }
    filled *= levels.length;
  }
}

/** The scale at which `count` weights from `from` on have the mean square of the lattice's values. */
export function typicalScale(
  lattice: Lattice,
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
): number {
  let squares = 0;
  let total = 0;
  for (let i = from; i < from + count; i++) {
    squares += weights[i]! * values[i]! * values[i]!;
    total += weights[i]!;
  }
  return Math.sqrt(squares / (total * lattice.meanSquare));
}
