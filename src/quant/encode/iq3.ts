import { IQ3S_GRID, IQ3XXS_GRID } from '../codebooks.js';
import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, writeHalf } from './block-encoder.js';
import { addPoint, appendHull, appendSum, type Chains, clearChains, newChains, newPoints } from './hull.js';
import { collectCandidates, NARROWEST, newLattice, typicalScale, WIDEST } from './lattice.js';
import { latticeScaleSearch, payloadAt } from './lattice-scales.js';
import { cheapestFlip, isOdd, newSignedWeights, splitSigns } from './signed-words.js';

// The layouts are described beside the decoders. Four weights are a word of magnitudes; signs come in eights, so
// words are searched in pairs.

/** Payload of a word: its number and whether one of its signs is wrong. */
const WORD_BITS = 10;
const FLIPPED = 512;

interface Iq3Codes {
  d: number;
  /** Scale codes of groups of 32 weights. */
  readonly scales: Uint8Array;
  /** Per four weights. */
  readonly entries: Uint16Array;
  /** Per eight weights. */
  readonly signs: Uint8Array;
}

function iq3Search(
  grid: Int8Array,
  multipliers: Float64Array,
  evenSigns: boolean,
): (values: Float64Array, weights: Float64Array) => Iq3Codes {
  const lattice = newLattice(grid, 4, 0);
  const words = grid.length / 4;
  const points = newPoints(8 * words);
  // A pair of words: both with true signs, then both with one sign wrong.
  const wordChains = newChains(4, 4 * words);
  const sumChain = newChains(2, 4 * words);
  const pairChains = newChains(32, 64 * words);
  const subChains = newChains(8, 64 * words);
  const findScales = latticeScaleSearch({ subs: 8, variants: 1, multipliers });
  const signed = newSignedWeights();
  let typical = 0;
  const result = { entries: new Uint16Array(64), signs: new Uint8Array(32) };

  function appendWord(weights: Float64Array, from: number, flipOne: boolean, chains: Chains): void {
    points.length = 0;
    const tag = flipOne ? FLIPPED : 0;
    collectCandidates(
      lattice,
      signed.magnitudes,
      weights,
      from,
      flipOne,
      tag,
      NARROWEST * typical,
      WIDEST * typical,
      points,
    );
    appendHull(points, chains);
  }

  /** Appends the chain of the eight weights from `from` on: one wrong sign, in either word, makes odd signs even. */
  function appendPair(weights: Float64Array, from: number, flipOne: boolean): void {
    clearChains(wordChains);
    appendWord(weights, from, false, wordChains);
    appendWord(weights, from + 4, false, wordChains);
    if (!flipOne) {
      appendSum(wordChains, 0, 1, 2, WORD_BITS, pairChains);
      return;
    }
    appendWord(weights, from + 4, true, wordChains);
    appendWord(weights, from, true, wordChains);
    clearChains(sumChain);
    // Chains 0 and 2 are the first word true and the second flipped; 3 and 1 the other way round.
    appendSum(wordChains, 0, 2, 2, WORD_BITS, sumChain);
    appendSum(wordChains, 3, -2, 2, WORD_BITS, sumChain);
    points.length = 0;
    for (let i = 0; i < sumChain.length; i++) {
      addPoint(points, sumChain.p[i]!, sumChain.q[i]!, sumChain.payload[i]!);
    }
    appendHull(points, pairChains);
  }

  return (values, weights) => {
    splitSigns(values, signed);
    clearChains(pairChains);
    clearChains(subChains);
    for (let k = 0; k < 32; k++) {
      if (k % 4 === 0) {
        typical = typicalScale(lattice, values, weights, 8 * k, 32);
      }
      appendPair(weights, 8 * k, evenSigns && isOdd(signed.signs[k]!));
    }
    for (let group = 0; group < 8; group++) {
      appendSum(pairChains, 4 * group, 1, 4, 0, subChains);
    }
    const { d, codes } = findScales(subChains);
    for (let k = 0; k < 32; k++) {
      const pair = payloadAt(pairChains, k, f16ToF32(d) * multipliers[codes[k >> 2]!]!);
      let signs = signed.signs[k]!;
      for (let side = 0; side < 2; side++) {
        const word = (pair >> (side * WORD_BITS)) & (2 * FLIPPED - 1);
        const entry = word & (FLIPPED - 1);
        result.entries[2 * k + side] = entry;
        if (word & FLIPPED) {
          const from = 8 * k + 4 * side;
          signs ^= 1 << (4 * side + cheapestFlip(grid, entry, 4, signed.magnitudes, weights, from));
        }
      }
      result.signs[k] = signs;
    }
    return { d, scales: codes, ...result };
  };
}

const searchXxs = iq3Search(
  IQ3XXS_GRID,
  Float64Array.from({ length: 16 }, (_, code) => (code + 0.5) / 2),
  true,
);

const iq3xxs: BlockEncoder = (values, weights, target, at) => {
  const { d, scales, entries, signs } = searchXxs(values, weights);
  writeHalf(target, at, d);
  for (let k = 0; k < 64; k++) {
    target[at + 2 + k] = entries[k]!;
  }
  for (let group = 0; group < 8; group++) {
    let word = scales[group]! << 28;
    for (let k = 0; k < 4; k++) {
      word |= (signs[4 * group + k]! & 127) << (7 * k);
    }
    for (let byte = 0; byte < 4; byte++) {
      target[at + 66 + 4 * group + byte] = word >>> (8 * byte);
    }
  }
};

const searchS = iq3Search(
  IQ3S_GRID,
  Float64Array.from({ length: 16 }, (_, code) => 2 * code + 1),
  false,
);

const iq3s: BlockEncoder = (values, weights, target, at) => {
  const { d, scales, entries, signs } = searchS(values, weights);
  writeHalf(target, at, d);
  target.fill(0, at + 66, at + 74);
  for (let k = 0; k < 64; k++) {
    target[at + 2 + k] = entries[k]!;
    target[at + 66 + (k >> 3)]! |= (entries[k]! >> 8) << (k & 7);
  }
  target.set(signs, at + 74);
  for (let byte = 0; byte < 4; byte++) {
    target[at + 106 + byte] = scales[2 * byte]! | (scales[2 * byte + 1]! << 4);
  }
};

export const encodeIQ3_XXS = rowEncoder('IQ3_XXS', iq3xxs);
export const encodeIQ3_S = rowEncoder('IQ3_S', iq3s);
