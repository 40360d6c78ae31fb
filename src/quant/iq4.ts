import { type DecodeBlock, perBlock } from './block-decoder.js';
import { IQ4NL_VALUES } from './codebooks.js';
import { readF16 } from './float.js';
import { readU16 } from './words.js';

// Four-bit codes for a table of 16 unevenly spaced values; per 32 weights 16 bytes, byte j with code j in the low
// half and code j + 16 in the high half. Layouts: ggml-common.h of llama.cpp.

/** A block of 32 weights: d, codes. */
const iq4nl: DecodeBlock = (source, from, target, to) => {
  decodeCodes(source, from + 2, readF16(source, from), target, to);
};

/**
 * A super-block of 256 weights: d, a word with the two highest bits and four bytes with the four lowest bits of
 * the scales s of groups of 32, codes. weight = d · (s − 32) · value.
 */
const iq4xs: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const highBits = readU16(source, from + 2);
  for (let group = 0; group < 8; group++) {
    const low = (source[from + 4 + (group >> 1)]! >> (4 * (group & 1))) & 15;
    const s = low | (((highBits >> (2 * group)) & 3) << 4);
    decodeCodes(source, from + 8 + 16 * group, d * (s - 32), target, to + 32 * group);
  }
};

function decodeCodes(
  source: Uint8Array,
  from: number,
  scale: number,
  target: Float32Array,
  to: number,
): void {
  for (let j = 0; j < 16; j++) {
    const byte = source[from + j]!;
    target[to + j] = scale * IQ4NL_VALUES[byte & 15]!;
    target[to + j + 16] = scale * IQ4NL_VALUES[byte >> 4]!;
  }
}

export const decodeIQ4_NL = perBlock('IQ4_NL', iq4nl);
export const decodeIQ4_XS = perBlock('IQ4_XS', iq4xs);
