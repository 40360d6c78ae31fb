import { IQ1S_GRID } from '../codebooks.js';
import { type BlockEncoder, writeHalf } from './block-encoder.js';
import { newLattice } from './lattice.js';
import type { WordFormat, WordSearch } from './word-search.js';

// The layouts are described beside the decoders. Eight weights are a word of −1, 0, 1, all shifted by ±⅛.

function iq1Format(choiceOf: WordFormat['choiceOf'], octets: number): WordFormat {
  return {
    lattices: [newLattice(IQ1S_GRID, 8, 0.125), newLattice(IQ1S_GRID, 8, -0.125)],
    choiceOf,
    octets,
    evenSigns: false,
    multipliers: Float64Array.from({ length: 8 }, (_, code) => 2 * code + 1),
  };
}

/** The shift belongs to the 32 weights of a scale. */
export const iq1sFormat = () => iq1Format('group', 4);
/** Every word has a shift of its own; a scale has 16 weights. */
export const iq1mFormat = () => iq1Format('word', 2);

/** Signs are part of the words. */
const NOT_ODD = new Uint8Array(32);

export const iq1s =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes, variants, payloads } = search(values, weights, NOT_ODD);
    writeHalf(target, at, d);
    for (let group = 0; group < 8; group++) {
      let word = (codes[group]! << 12) | (variants[group]! << 15);
      for (let k = 0; k < 4; k++) {
        const entry = payloads[4 * group + k]!;
        target[at + 2 + 4 * group + k] = entry;
        word |= (entry >> 8) << (3 * k);
      }
      target[at + 34 + 2 * group] = word;
      target[at + 35 + 2 * group] = word >> 8;
    }
  };

export const iq1m =
  (search: WordSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, codes, payloads } = search(values, weights, NOT_ODD);
    target.fill(0, at + 32, at + 56);
    for (let k = 0; k < 32; k++) {
      // Bits 8 to 10 of the entry and the shift above them are the four high bits.
      const entry = payloads[k]!;
      target[at + k] = entry;
      target[at + 32 + (k >> 1)]! |= (entry >> 8) << (4 * (k & 1));
    }
    for (let k = 0; k < 4; k++) {
      const word =
        codes[4 * k]! |
        (codes[4 * k + 1]! << 3) |
        (codes[4 * k + 2]! << 6) |
        (codes[4 * k + 3]! << 9) |
        (((d >> (4 * k)) & 15) << 12);
      target[at + 48 + 2 * k] = word;
      target[at + 49 + 2 * k] = word >> 8;
    }
  };
