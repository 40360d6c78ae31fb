import { type DecodeBlock, perBlock } from './block-decoder.js';
import { IQ1S_GRID } from './codebooks.js';
import { f16ToF32, readF16 } from './float.js';
import { readU16 } from './words.js';

// Super-blocks of 256 weights: a half as super-scale, d, over 3-bit scales s; eight weights at a time are an entry
// of a grid of −1, 0, 1, shifted by ±⅛. weight = d · (2s + 1) · (value ± ⅛). Layouts: ggml-common.h of llama.cpp.

const SHIFT = 0.125;

/**
 * d, 32 low bytes of grid entries, then per 32 weights a word: four times the entries' three highest bits, the
 * scale, the sign of the shift.
 */
const iq1s: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let group = 0; group < 8; group++) {
    const word = readU16(source, from + 34 + 2 * group);
    const scale = d * (2 * ((word >> 12) & 7) + 1);
    const shift = word & 0x8000 ? -SHIFT : SHIFT;
    for (let k = 0; k < 4; k++) {
      const entry = source[from + 2 + 4 * group + k]! | (((word >> (3 * k)) & 7) << 8);
      shiftedEntry(entry, shift, scale, target, to + 32 * group + 8 * k);
    }
  }
};

/**
 * 32 low bytes of grid entries, 16 bytes with two times three highest bits and the sign of the shift, four words
 * with four scales of groups of 16 each in the low 12 bits and a quarter of d in the high four.
 */
const iq1m: DecodeBlock = (source, from, target, to) => {
  let superScale = 0;
  for (let k = 0; k < 4; k++) {
    superScale |= (source[from + 49 + 2 * k]! >> 4) << (4 * k);
  }
  const d = f16ToF32(superScale);
  for (let k = 0; k < 32; k++) {
    const group = k >> 1;
    const s = (readU16(source, from + 48 + 2 * (group >> 2)) >> (3 * (group & 3))) & 7;
    const high = source[from + 32 + (k >> 1)]! >> (4 * (k & 1));
    const entry = source[from + k]! | ((high & 7) << 8);
    shiftedEntry(entry, high & 8 ? -SHIFT : SHIFT, d * (2 * s + 1), target, to + 8 * k);
  }
};

function shiftedEntry(entry: number, shift: number, scale: number, target: Float32Array, to: number): void {
  for (let j = 0; j < 8; j++) {
    target[to + j] = scale * (IQ1S_GRID[8 * entry + j]! + shift);
  }
}

export const decodeIQ1_S = perBlock('IQ1_S', iq1s);
export const decodeIQ1_M = perBlock('IQ1_M', iq1m);
