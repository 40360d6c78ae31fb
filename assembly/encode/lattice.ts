// The words that can be best, found by halves: see src/quant/encode/lattice.ts.
import { addPoint, double, int, Points } from './hull';

@unmanaged
export class Lattice {
  weights: i32;
  levelCount: i32;
  halves: i32;
  meanSquare: f64;
  /** f64[levelCount] */
  levels: usize;
  /** i32[halves + 1] */
  starts: usize;
  /** u8[words] */
  highOf: usize;
  /** u16[words] */
  entryOf: usize;
}

/** Sums per half: at most 81 halves, with room for a pair beyond. */
class HalfSums {
  p: usize;
  q: usize;
  least: usize;
  level: usize;
}

function newHalfSums(): HalfSums {
  return {
    p: heap.alloc(84 * 8),
    q: heap.alloc(84 * 8),
    least: heap.alloc(84 * 8),
    level: heap.alloc(84 * 8),
  };
}

const low = newHalfSums();
const high = newHalfSums();
let foundP: f64 = 0;
let foundQ: f64 = 0;

export function collectCandidates(
  lattice: Lattice, values: usize, weights: usize, from: i32, flipOne: bool, tag: i32, lowScale: f64, highScale: f64,
  points: Points,
): void {
  const half = lattice.weights >> 1;
  const at = <usize>from << 3;
  const next = at + (<usize>half << 3);
  sumHalves(lattice, half, values + at, weights + at, low);
  sumHalves(lattice, half, values + next, weights + next, high);
  findBest(lattice, flipOne, lowScale / 2);
  const pA = foundP;
  const qA = foundQ;
  findBest(lattice, flipOne, highScale / 2);
  const pB = foundP;
  const qB = foundQ;
  const slope = qA > qB ? (pA - pB) / (qA - qB) : highScale / 2;
  const threshold = pA - slope * qA - 1e-12 * (abs(pA) + abs(slope * qA));
  addAbove(lattice, flipOne, slope, threshold, tag, points);
}

// @ts-ignore: decorator
@inline
function flipCost(l: i32, h: i32): f64 {
  return 2 * min(double(low.least, l), double(high.least, h));
}

function findBest(lattice: Lattice, flipOne: bool, slope: f64): void {
  const halves = lattice.halves;
  const highest = fillLevels(high, slope, halves);
  const lowHighest = fillLevels(low, slope, halves);
  let likely = 0;
  while (double(low.level, likely) != lowHighest) likely++;
  let best = -Infinity;
  let bestLow = 0;
  let bestHigh = 0;
  for (let n = -1; n < halves; n++) {
    const l = n < 0 ? likely : n;
    const level = double(low.level, l);
    if (level + highest <= best) continue;
    const end = <usize>int(lattice.starts, l + 1);
    for (let word = <usize>int(lattice.starts, l); word < end; word++) {
      const h = <i32>load<u8>(lattice.highOf + word);
      let sum = level + double(high.level, h);
      if (sum > best) {
        if (flipOne) sum -= flipCost(l, h);
        if (sum > best) {
          best = sum;
          bestLow = l;
          bestHigh = h;
        }
      }
    }
  }
  const flip: f64 = flipOne ? flipCost(bestLow, bestHigh) : 0;
  foundP = double(low.p, bestLow) + double(high.p, bestHigh) - flip;
  foundQ = double(low.q, bestLow) + double(high.q, bestHigh);
}

function addAbove(lattice: Lattice, flipOne: bool, slope: f64, threshold: f64, tag: i32, points: Points): void {
  const halves = lattice.halves;
  const highest = fillLevels(high, slope, halves);
  fillLevels(low, slope, halves);
  for (let l = 0; l < halves; l++) {
    const level = double(low.level, l);
    if (level + highest < threshold) continue;
    const end = <usize>int(lattice.starts, l + 1);
    for (let word = <usize>int(lattice.starts, l); word < end; word++) {
      const h = <i32>load<u8>(lattice.highOf + word);
      const sum = level + double(high.level, h);
      if (sum < threshold) continue;
      const flip: f64 = flipOne ? flipCost(l, h) : 0;
      if (sum - flip >= threshold) {
        const payload = <i32>load<u16>(lattice.entryOf + (word << 1)) + tag;
        addPoint(
          points, double(low.p, l) + double(high.p, h) - flip, double(low.q, l) + double(high.q, h), payload);
      }
    }
  }
}

/** The pair beyond the last half, where their number is odd, is minus infinity: see `sumHalves`. */
function fillLevels(sums: HalfSums, slope: f64, halves: i32): f64 {
  const slopes = f64x2.splat(slope);
  let highest = f64x2.splat(-Infinity);
  const end = <usize>halves << 3;
  for (let at: usize = 0; at < end; at += 16) {
    const level = f64x2.sub(v128.load(sums.p + at), f64x2.mul(slopes, v128.load(sums.q + at)));
    v128.store(sums.level + at, level);
    highest = f64x2.pmax(highest, level);
  }
  return max(f64x2.extract_lane(highest, 0), f64x2.extract_lane(highest, 1));
}

function sumHalves(lattice: Lattice, count: i32, values: usize, weights: usize, sums: HalfSums): void {
  const p = sums.p;
  const q = sums.q;
  const least = sums.least;
  store<f64>(p, 0);
  store<f64>(q, 0);
  store<f64>(least, Infinity);
  let filled: usize = 8;
  for (let i = 0; i < count; i++) {
    const value = double(values, i);
    const weight = double(weights, i);
    for (let n = lattice.levelCount - 1; n >= 0; n--) {
      const level = double(lattice.levels, n);
      const weighted = weight * level;
      const product = weighted * value;
      const square = weighted * level;
      const products = f64x2.splat(product);
      const squares = f64x2.splat(square);
      const to = <usize>n * filled;
      let m: usize = 0;
      for (; m + 8 < filled; m += 16) {
        v128.store(p + to + m, f64x2.add(v128.load(p + m), products));
        v128.store(q + to + m, f64x2.add(v128.load(q + m), squares));
        v128.store(least + to + m, f64x2.pmin(v128.load(least + m), products));
      }
      if (m < filled) {
        store<f64>(p + to + m, load<f64>(p + m) + product);
        store<f64>(q + to + m, load<f64>(q + m) + square);
        store<f64>(least + to + m, min(load<f64>(least + m), product));
      }
    }
    filled *= <usize>lattice.levelCount;
  }
  store<f64>(p + filled, -Infinity);
  store<f64>(q + filled, 0);
}

export function typicalScale(lattice: Lattice, values: usize, weights: usize, from: i32, count: i32): f64 {
  let squares: f64 = 0;
  let total: f64 = 0;
  for (let i = from; i < from + count; i++) {
    squares += double(weights, i) * double(values, i) * double(values, i);
    total += double(weights, i);
  }
  return sqrt(squares / (total * lattice.meanSquare));
}
