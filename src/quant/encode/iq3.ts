import { IQ3S_GRID, IQ3XXS_GRID } from '../codebooks.js';
import { type BlockEncoder, writeHalf } from './block-encoder.js';
import { newLattice } from './lattice.js';
import { cheapestFlip, newSignedWeights, splitSigns } from './signed-words.js';
import { FLIPPED, WORD_BITS, type WordFormat, type WordSearch } from './word-search.js';

// The layouts are described beside the decoders. Four weights are a word of magnitudes; signs come in eights, so
// words are searched in pairs.

function iq3Format(grid: Int8Array, evenSigns: boolean, multiplier: (code: number) => number): WordFormat {
  return {
    lattices: [newLattice(grid, 4, 0)],
    choiceOf: 'group',
    octets: 4,
    evenSigns,
    multipliers: Float64Array.from({ length: 16 }, (_, code) => multiplier(code)),
  };
}

export const iq3xxsFormat = () => iq3Format(IQ3XXS_GRID, true, (code) => (code + 0.5) / 2);
export const iq3sFormat = () => iq3Format(IQ3S_GRID, false, (code) => 2 * code + 1);

const signed = newSignedWeights();
/** The numbers of the words of four weights. */
const entries = new Uint16Array(64);

/** Fills `entries`, and `signed` with the signs as they can be stored. */
function searchPairs(
  search: WordSearch,
  values: Float64Array,
  weights: Float64Array,
  grid: Int8Array,
): ReturnType<WordSearch> {
  splitSigns(values, signed);
  const choice = search(signed.magnitudes, weights, signed.odd);
  for (let k = 0; k < 64; k++) {
    const word = choice.payloads[k >> 1]! >> ((k & 1) * WORD_BITS);
    const entry = word & (FLIPPED - 1);
    entries[k] = entry;
    if (word & FLIPPED) {
      const flip = cheapestFlip(grid, entry, 4, signed.magnitudes, weights, 4 * k);
      signed.signs[k >> 1]! ^= 1 << (4 * (k & 1) + flip);
    }
  }
  return choice;
}

export const iq3xxs =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes } = searchPairs(search, values, weights, IQ3XXS_GRID);
    writeHalf(target, at, d);
    for (let k = 0; k < 64; k++) {
      target[at + 2 + k] = entries[k]!;
    }
    for (let group = 0; group < 8; group++) {
      let word = codes[group]! << 28;
      for (let k = 0; k < 4; k++) {
        word |= (signed.signs[4 * group + k]! & 127) << (7 * k);
      }
      for (let byte = 0; byte < 4; byte++) {
        target[at + 66 + 4 * group + byte] = word >>> (8 * byte);
      }
    }
  };

export const iq3s =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes } = searchPairs(search, values, weights, IQ3S_GRID);
    writeHalf(target, at, d);
    target.fill(0, at + 66, at + 74);
    for (let k = 0; k < 64; k++) {
      target[at + 2 + k] = entries[k]!;
      target[at + 66 + (k >> 3)]! |= (entries[k]! >> 8) << (k & 7);
    }
    target.set(signed.signs, at + 74);
    for (let byte = 0; byte < 4; byte++) {
      target[at + 106 + byte] = codes[2 * byte]! | (codes[2 * byte + 1]! << 4);
    }
  };
