import { f16ToF32 } from '../float.js';
import {
  addPoint,
  appendHull,
  appendSum,
  type Chains,
  clearChains,
  newChains,
  newPoints,
  payloadAt,
} from './hull.js';
import { collectCandidates, type Lattice, typicalScale } from './lattice.js';
import { latticeScaleSearch } from './lattice-scales.js';

/** What a lattice format lets its encoder choose, per super-block of 256 weights. */
export interface WordFormat {
  /** One lattice, or two to choose from, of words of eight weights; or one of words of four, used in pairs. */
  readonly lattices: readonly Lattice[];
  /** Who chooses the lattice where there are two: the group of words with one scale, or every word. */
  readonly choiceOf: 'group' | 'word';
  /** Groups of eight weights that share a scale. */
  readonly octets: number;
  /** Whether the number of wrong signs among eight weights must be odd where `odd` says so. */
  readonly evenSigns: boolean;
  /** What each scale code multiplies d by, ascending. */
  readonly multipliers: Float64Array;
}

/** What a super-block is encoded as. */
export interface WordChoice {
  /** Bits of a half. */
  d: number;
  /** Per group: scale code, and lattice where the group chooses it. */
  readonly codes: Uint8Array;
  readonly variants: Uint8Array;
  /**
   * Per eight weights: the number of the word, plus `SECOND_LATTICE` where the word chose the second lattice; or, for
   * words of four, two numbers of `WORD_BITS` bits, of which one may have `FLIPPED` set.
   */
  readonly payloads: Int32Array;
}

export const SECOND_LATTICE = 2048;
export const WORD_BITS = 10;
/** Set where one of the signs of the four weights has to be wrong. */
export const FLIPPED = 512;

/**
 * Finds the words and scales of a super-block. `values` are its weights, or their magnitudes where words are
 * magnitudes; `odd` is 1 for each eight weights with an odd number of negative signs. The result is reused by the
 * next call.
 */
export type WordSearch = (values: Float64Array, weights: Float64Array, odd: Uint8Array) => WordChoice;

/**
 * Between which multiples of its typical scale a group looks for its words. Beyond, the words of the ends are used.
 */
const NARROWEST = 0.65;
const WIDEST = 2.5;

/** The reference search, in TypeScript. assembly/encode/words.ts does the same. */
export function newWordSearch(format: WordFormat): WordSearch {
  const { lattices, choiceOf, octets, evenSigns, multipliers } = format;
  const groups = 32 / octets;
  const variants = choiceOf === 'group' ? lattices.length : 1;
  const words = Math.max(...lattices.map(({ entryOf }) => entryOf.length));
  const capacity = 32 * variants * 2 * words;
  const points = newPoints(8 * words);
  const wordChains = newChains(32 * variants, capacity);
  const subChains = newChains(groups * variants, capacity);
  // A pair of words of four: both with true signs, then both with one sign wrong.
  const pairChains = newChains(4, 4 * words);
  const sumChain = newChains(2, 4 * words);
  const findScales = latticeScaleSearch({ subs: groups, variants, multipliers });
  const payloads = new Int32Array(32);

  function appendOctet(
    choices: readonly Lattice[],
    values: Float64Array,
    weights: Float64Array,
    from: number,
    flipOne: boolean,
    typical: number,
  ): void {
    points.length = 0;
    for (const [n, lattice] of choices.entries()) {
      collectCandidates(
        lattice,
        values,
        weights,
        from,
        flipOne,
        SECOND_LATTICE * n,
        NARROWEST * typical,
        WIDEST * typical,
        points,
      );
    }
    appendHull(points, wordChains);
  }

  function appendWord(
    lattice: Lattice,
    values: Float64Array,
    weights: Float64Array,
    from: number,
    flipOne: boolean,
    typical: number,
    chains: Chains,
  ): void {
    points.length = 0;
    collectCandidates(
      lattice,
      values,
      weights,
      from,
      flipOne,
      flipOne ? FLIPPED : 0,
      NARROWEST * typical,
      WIDEST * typical,
      points,
    );
    appendHull(points, chains);
  }

  /** Eight weights as two words: one wrong sign, in either word, makes an odd number of negative ones even. */
  function appendPair(
    lattice: Lattice,
    values: Float64Array,
    weights: Float64Array,
    from: number,
    flipOne: boolean,
    typical: number,
  ): void {
    clearChains(pairChains);
    appendWord(lattice, values, weights, from, false, typical, pairChains);
    appendWord(lattice, values, weights, from + 4, false, typical, pairChains);
    if (!flipOne) {
      appendSum(pairChains, 0, 1, 2, WORD_BITS, wordChains);
      return;
    }
    appendWord(lattice, values, weights, from + 4, true, typical, pairChains);
    appendWord(lattice, values, weights, from, true, typical, pairChains);
    clearChains(sumChain);
    // Chains 0 and 2 are the first word true and the second flipped; 3 and 1 the other way round.
    appendSum(pairChains, 0, 2, 2, WORD_BITS, sumChain);
    appendSum(pairChains, 3, -2, 2, WORD_BITS, sumChain);
    points.length = 0;
    for (let i = 0; i < sumChain.length; i++) {
      addPoint(points, sumChain.p[i]!, sumChain.q[i]!, sumChain.payload[i]!);
    }
    appendHull(points, wordChains);
  }

  return (values, weights, odd) => {
    clearChains(wordChains);
    clearChains(subChains);
    for (let v = 0; v < variants; v++) {
      const lattice = lattices[v]!;
      const choices = choiceOf === 'group' ? [lattice] : lattices;
      let typical = 0;
      for (let k = 0; k < 32; k++) {
        if (k % octets === 0) {
          typical = typicalScale(lattice, values, weights, 8 * k, 8 * octets);
        }
        const flipOne = evenSigns && odd[k] !== 0;
        if (lattice.weights === 4) {
          appendPair(lattice, values, weights, 8 * k, flipOne, typical);
        } else {
          appendOctet(choices, values, weights, 8 * k, flipOne, typical);
        }
      }
    }
    for (let k = 0; k < 32 * variants; k += octets) {
      appendSum(wordChains, k, 1, octets, 0, subChains);
    }
    const { d, codes, variants: chosen } = findScales(subChains);
    for (let k = 0; k < 32; k++) {
      const group = Math.floor(k / octets);
      const scale = f16ToF32(d) * multipliers[codes[group]!]!;
      payloads[k] = payloadAt(wordChains, 32 * chosen[group]! + k, scale);
    }
    return { d, codes, variants: chosen, payloads };
  };
}
