import { type DecodeBlock, perBlock } from './block-decoder.js';
import { EVEN_SIGNS, IQ3S_GRID, IQ3XXS_GRID } from './codebooks.js';
import { readF16 } from './float.js';
import { readU32 } from './words.js';

// Super-blocks of 256 weights: a half as super-scale, d, over 4-bit scales s of groups of 32 weights; four weights
// at a time are an entry of a grid of magnitudes with four signs. Layouts: ggml-common.h of llama.cpp.

/**
 * d, 64 bytes of grid entries, then per 32 weights a word of four 7-bit sign codes below the scale.
 * weight = d · (s + ½) / 2 · sign · magnitude.
 */
const iq3xxs: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let group = 0; group < 8; group++) {
    const signsAndScale = readU32(source, from + 66 + 4 * group);
    const scale = d * (0.5 + (signsAndScale >>> 28)) * 0.5;
    for (let k = 0; k < 8; k++) {
      const signs = EVEN_SIGNS[(signsAndScale >>> (7 * (k >> 1))) & 127]! >> (4 * (k & 1));
      const entry = source[from + 2 + 8 * group + k]!;
      signedEntry(IQ3XXS_GRID, entry, signs, scale, target, to + 32 * group + 4 * k);
    }
  }
};

/**
 * d, 64 low bytes of grid entries, 8 bytes with their highest bits, 32 bytes of signs, 4 bytes of scales.
 * weight = d · (2s + 1) · sign · magnitude.
 */
const iq3s: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let group = 0; group < 8; group++) {
    const scale = d * (1 + 2 * ((source[from + 106 + (group >> 1)]! >> (4 * (group & 1))) & 15));
    const highBits = source[from + 66 + group]!;
    for (let k = 0; k < 8; k++) {
      const entry = source[from + 2 + 8 * group + k]! | (((highBits >> k) & 1) << 8);
      const signs = source[from + 74 + 4 * group + (k >> 1)]! >> (4 * (k & 1));
      signedEntry(IQ3S_GRID, entry, signs, scale, target, to + 32 * group + 4 * k);
    }
  }
};

function signedEntry(
  grid: Int8Array,
  entry: number,
  signs: number,
  scale: number,
  target: Float32Array,
  to: number,
): void {
  for (let j = 0; j < 4; j++) {
    const magnitude = scale * grid[4 * entry + j]!;
    target[to + j] = (signs >> j) & 1 ? -magnitude : magnitude;
  }
}

export const decodeIQ3_XXS = perBlock('IQ3_XXS', iq3xxs);
export const decodeIQ3_S = perBlock('IQ3_S', iq3s);
