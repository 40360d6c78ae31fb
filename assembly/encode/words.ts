// Searches for the words of super-blocks: see iq1.ts, iq2.ts and iq3.ts in src/quant/encode.
import { addPoint, appendHull, appendSum, Chains, clearChains, newChains, newPoints, payloadAt, Points, double } from './hull';
import { collectCandidates, Lattice, typicalScale } from './lattice';
import { bestCodes, bestD, bestVariants, findScales } from './lattice-scales';
import { halfToFloat } from './half-float';

const NARROWEST: f64 = 0.65;
const WIDEST: f64 = 2.5;
const WORD_BITS = 10;
const FLIPPED = 512;
const CAPACITY = 64 * 2048;

const points = newPoints(4096);
const wordChains = newChains(64, CAPACITY);
const pairChains = newChains(4, 2048);
const sumChain = newChains(2, 2048);
const subChains = newChains(16, CAPACITY);

/** The layout of `lattice` in memory belongs to the caller, who never frees it. */
export function defineLattice(
  weights: i32, levelCount: i32, halves: i32, meanSquare: f64, levels: usize, starts: usize, highOf: usize,
  entryOf: usize,
): usize {
  const lattice = changetype<Lattice>(heap.alloc(offsetof<Lattice>()));
  lattice.weights = weights;
  lattice.levelCount = levelCount;
  lattice.halves = halves;
  lattice.meanSquare = meanSquare;
  lattice.levels = levels;
  lattice.starts = starts;
  lattice.highOf = highOf;
  lattice.entryOf = entryOf;
  return changetype<usize>(lattice);
}

@unmanaged
class WordSearch {
  /** One lattice, or two of which every group uses one (`choice`), or two for every word. */
  lattice: Lattice;
  other: Lattice;
  choice: bool;
  /** Words of eight weights that share a scale. */
  octets: i32;
  evenSigns: bool;
  multipliers: usize;
  multiplierCount: i32;
}

/** `other`: a second lattice or 0; `choice`: whether the choice between the two is that of a whole group. */
export function defineWordSearch(
  lattice: usize, other: usize, choice: bool, octets: i32, evenSigns: bool, multipliers: usize, multiplierCount: i32,
): usize {
  const search = changetype<WordSearch>(heap.alloc(offsetof<WordSearch>()));
  search.lattice = changetype<Lattice>(lattice);
  search.other = changetype<Lattice>(other);
  search.choice = choice;
  search.octets = octets;
  search.evenSigns = evenSigns;
  search.multipliers = multipliers;
  search.multiplierCount = multiplierCount;
  return changetype<usize>(search);
}

/**
 * Searches the words and scales of one super-block.
 * @param values f64[256]: the weights, or their magnitudes where the lattice holds magnitudes
 * @param weights f64[256]
 * @param odd u8[32]: whether the number of negative signs of eight weights is odd (used with `evenSigns`)
 * @param payloads i32[32]: payload of the word or pair of words of every eight weights
 * @param codes u8[16] scale codes, then u8[16] variants
 * @returns bits of d
 */
export function searchWords(
  address: usize, values: usize, weights: usize, odd: usize, payloads: usize, codes: usize,
): u32 {
  const search = changetype<WordSearch>(address);
  const octets = search.octets;
  const variants = search.choice ? 2 : 1;
  clearChains(wordChains);
  clearChains(subChains);
  for (let v = 0; v < variants; v++) {
    const lattice = v == 0 ? search.lattice : search.other;
    let typical: f64 = 0;
    for (let k = 0; k < 32; k++) {
      if (k % octets == 0) typical = typicalScale(lattice, values, weights, 8 * k, 8 * octets);
      const flipOne = search.evenSigns && load<u8>(odd + <usize>k) != 0;
      if (lattice.weights == 4) {
        appendPair(lattice, values, weights, 8 * k, flipOne, typical);
        continue;
      }
      points.length = 0;
      collectCandidates(
        lattice, values, weights, 8 * k, flipOne, 0, NARROWEST * typical, WIDEST * typical, points);
      if (changetype<usize>(search.other) != 0 && !search.choice) {
        collectCandidates(
          search.other, values, weights, 8 * k, flipOne, 2048, NARROWEST * typical, WIDEST * typical, points);
      }
      appendHull(points, wordChains);
    }
  }
  for (let k = 0; k < 32 * variants; k += octets) {
    appendSum(wordChains, k, 1, octets, 0, subChains);
  }
  findScales(subChains, 32 / octets, variants, search.multipliers, search.multiplierCount);
  const d = halfToFloat(bestD);
  for (let k = 0; k < 32; k++) {
    const group = <usize>(k / octets);
    const scale = d * double(search.multipliers, load<u8>(bestCodes + group));
    const chain = 32 * <i32>load<u8>(bestVariants + group) + k;
    store<i32>(payloads + (<usize>k << 2), payloadAt(wordChains, chain, scale));
  }
  v128.store(codes, v128.load(bestCodes));
  v128.store(codes, v128.load(bestVariants), 16);
  return bestD;
}

function appendWord(
  lattice: Lattice, values: usize, weights: usize, from: i32, flipOne: bool, typical: f64,
): void {
  points.length = 0;
  const tag = flipOne ? FLIPPED : 0;
  collectCandidates(
    lattice, values, weights, from, flipOne, tag, NARROWEST * typical, WIDEST * typical, points);
  appendHull(points, pairChains);
}

function appendPair(
  lattice: Lattice, values: usize, weights: usize, from: i32, flipOne: bool, typical: f64,
): void {
  clearChains(pairChains);
  appendWord(lattice, values, weights, from, false, typical);
  appendWord(lattice, values, weights, from + 4, false, typical);
  if (!flipOne) {
    appendSum(pairChains, 0, 1, 2, WORD_BITS, wordChains);
    return;
  }
  appendWord(lattice, values, weights, from + 4, true, typical);
  appendWord(lattice, values, weights, from, true, typical);
  clearChains(sumChain);
  appendSum(pairChains, 0, 2, 2, WORD_BITS, sumChain);
  appendSum(pairChains, 3, -2, 2, WORD_BITS, sumChain);
  points.length = 0;
  for (let i = 0; i < sumChain.length; i++) {
    addPoint(points, double(sumChain.p, i), double(sumChain.q, i), load<i32>(sumChain.payload + (<usize>i << 2)));
  }
  appendHull(points, wordChains);
}
