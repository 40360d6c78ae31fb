import { type DecodeBlock, perBlock } from './block-decoder.js';
import { EVEN_SIGNS, IQ2S_GRID, IQ2XS_GRID, IQ2XXS_GRID } from './codebooks.js';
import { readF16 } from './float.js';
import { readU32 } from './words.js';

// Super-blocks of 256 weights: a half as super-scale, d, over 4-bit scales s of groups of 16 or 32 weights;
// eight weights at a time are an entry of a grid of magnitudes with eight signs.
// weight = d · (s + ½) / 4 · sign · magnitude. Layouts: ggml-common.h of llama.cpp.

/** d, then per 32 weights 4 bytes of grid entries and a word of four 7-bit sign codes below the scale. */
const iq2xxs: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let group = 0; group < 8; group++) {
    const at = from + 2 + 8 * group;
    const signsAndScale = readU32(source, at + 4);
    const scale = d * (0.5 + (signsAndScale >>> 28)) * 0.25;
    for (let k = 0; k < 4; k++) {
      const signs = EVEN_SIGNS[(signsAndScale >>> (7 * k)) & 127]!;
      signedEntry(IQ2XXS_GRID, source[at + k]!, signs, scale, target, to + 32 * group + 8 * k);
    }
  }
};

/** d, 32 words of 9 bits of grid entry and 7 bits of sign code, 8 bytes of scales; groups of 16. */
const iq2xs: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let k = 0; k < 32; k++) {
    const word = source[from + 2 + 2 * k]! | (source[from + 3 + 2 * k]! << 8);
    const scale = d * (0.5 + groupScale(source, from + 66, k >> 1)) * 0.25;
    signedEntry(IQ2XS_GRID, word & 511, EVEN_SIGNS[word >> 9]!, scale, target, to + 8 * k);
  }
};

/**
 * d, 32 low bytes of grid entries, 32 bytes of signs, 8 bytes with the entries' two highest bits, 8 bytes of
 * scales; groups of 16.
 */
const iq2s: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let k = 0; k < 32; k++) {
    const high = (source[from + 66 + (k >> 2)]! >> (2 * (k & 3))) & 3;
    const entry = source[from + 2 + k]! | (high << 8);
    const scale = d * (0.5 + groupScale(source, from + 74, k >> 1)) * 0.25;
    signedEntry(IQ2S_GRID, entry, source[from + 34 + k]!, scale, target, to + 8 * k);
  }
};

/** Scale of a group of 16: four bits each, the first group in the low half. */
function groupScale(source: Uint8Array, scales: number, group: number): number {
  return (source[scales + (group >> 1)]! >> (4 * (group & 1))) & 15;
}

function signedEntry(
  grid: Int8Array,
  entry: number,
  signs: number,
  scale: number,
  target: Float32Array,
  to: number,
): void {
  for (let j = 0; j < 8; j++) {
    const magnitude = scale * grid[8 * entry + j]!;
    target[to + j] = (signs >> j) & 1 ? -magnitude : magnitude;
  }
}

export const decodeIQ2_XXS = perBlock('IQ2_XXS', iq2xxs);
export const decodeIQ2_XS = perBlock('IQ2_XS', iq2xs);
export const decodeIQ2_S = perBlock('IQ2_S', iq2s);
