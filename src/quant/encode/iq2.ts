import { IQ2S_GRID, IQ2XS_GRID, IQ2XXS_GRID } from '../codebooks.js';
import { type BlockEncoder, writeHalf } from './block-encoder.js';
import { newLattice } from './lattice.js';
import { cheapestFlip, newSignedWeights, splitSigns } from './signed-words.js';
import type { WordFormat, WordSearch } from './word-search.js';

// The layouts are described beside the decoders. Eight weights are a word of magnitudes and eight signs.

const MULTIPLIERS = Float64Array.from({ length: 16 }, (_, code) => (code + 0.5) / 4);

function iq2Format(grid: Int8Array, octets: number, evenSigns: boolean): WordFormat {
  return {
    lattices: [newLattice(grid, 8, 0)],
    choiceOf: 'group',
    octets,
    evenSigns,
    multipliers: MULTIPLIERS,
  };
}

export const iq2xxsFormat = () => iq2Format(IQ2XXS_GRID, 4, true);
export const iq2xsFormat = () => iq2Format(IQ2XS_GRID, 2, true);
export const iq2sFormat = () => iq2Format(IQ2S_GRID, 2, false);

const signed = newSignedWeights();

/** The words' numbers in `payloads` and the signs as they can be stored, in `signed`. */
function searchSigned(
  search: WordSearch,
  values: Float64Array,
  weights: Float64Array,
  grid: Int8Array,
  evenSigns: boolean,
): ReturnType<WordSearch> {
  splitSigns(values, signed);
  const choice = search(signed.magnitudes, weights, signed.odd);
  if (evenSigns) {
    for (let k = 0; k < 32; k++) {
      if (signed.odd[k]) {
        const entry = choice.payloads[k]!;
        signed.signs[k]! ^= 1 << cheapestFlip(grid, entry, 8, signed.magnitudes, weights, 8 * k);
      }
    }
  }
  return choice;
}

export const iq2xxs =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes, payloads } = searchSigned(search, values, weights, IQ2XXS_GRID, true);
    writeHalf(target, at, d);
    for (let group = 0; group < 8; group++) {
      let word = codes[group]! << 28;
      for (let k = 0; k < 4; k++) {
        target[at + 2 + 8 * group + k] = payloads[4 * group + k]!;
        word |= (signed.signs[4 * group + k]! & 127) << (7 * k);
      }
      for (let byte = 0; byte < 4; byte++) {
        target[at + 6 + 8 * group + byte] = word >>> (8 * byte);
      }
    }
  };

export const iq2xs =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes, payloads } = searchSigned(search, values, weights, IQ2XS_GRID, true);
    writeHalf(target, at, d);
    for (let k = 0; k < 32; k++) {
      const word = payloads[k]! | ((signed.signs[k]! & 127) << 9);
      target[at + 2 + 2 * k] = word;
      target[at + 3 + 2 * k] = word >> 8;
    }
    packScales(codes, target, at + 66);
  };

export const iq2s =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes, payloads } = searchSigned(search, values, weights, IQ2S_GRID, false);
    writeHalf(target, at, d);
    target.fill(0, at + 66, at + 74);
    for (let k = 0; k < 32; k++) {
      target[at + 2 + k] = payloads[k]!;
      target[at + 34 + k] = signed.signs[k]!;
      target[at + 66 + (k >> 2)]! |= (payloads[k]! >> 8) << (2 * (k & 3));
    }
    packScales(codes, target, at + 74);
  };

/** Four bits each, the first in the low half of a byte. */
function packScales(codes: Uint8Array, target: Uint8Array, at: number): void {
  for (let byte = 0; byte < 8; byte++) {
    target[at + byte] = codes[2 * byte]! | (codes[2 * byte + 1]! << 4);
  }
}
