import { type DecodeBlock, perBlock } from './block-decoder.js';
import { readF16 } from './float.js';
import { readU32 } from './words.js';

// Blocks of 32 weights with a half as scale, d, and in the `_1` types a half as offset, m. Four-bit codes are
// packed so that byte j holds code j in its low half and code j + 16 in its high half; the fifth bits of the
// Q5 types are a 32-bit word, bit j for code j.
// Layouts: ggml-common.h of llama.cpp.

/** d, 16 bytes of codes; weight = d · (code − 8). */
const q40: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let j = 0; j < 16; j++) {
    const byte = source[from + 2 + j]!;
    target[to + j] = d * ((byte & 15) - 8);
    target[to + j + 16] = d * ((byte >> 4) - 8);
  }
};

/** d, m, 16 bytes of codes; weight = d · code + m. */
const q41: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const m = readF16(source, from + 2);
  for (let j = 0; j < 16; j++) {
    const byte = source[from + 4 + j]!;
    target[to + j] = d * (byte & 15) + m;
    target[to + j + 16] = d * (byte >> 4) + m;
  }
};

/** d, fifth bits, 16 bytes of codes; weight = d · (code − 16). */
const q50: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const high = readU32(source, from + 2);
  for (let j = 0; j < 16; j++) {
    const byte = source[from + 6 + j]!;
    target[to + j] = d * (((byte & 15) | (((high >>> j) & 1) << 4)) - 16);
    target[to + j + 16] = d * (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
  }
};

/** d, m, fifth bits, 16 bytes of codes; weight = d · code + m. */
const q51: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const m = readF16(source, from + 2);
  const high = readU32(source, from + 4);
  for (let j = 0; j < 16; j++) {
    const byte = source[from + 8 + j]!;
    target[to + j] = d * ((byte & 15) | (((high >>> j) & 1) << 4)) + m;
    target[to + j + 16] = d * ((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) + m;
  }
};

/** d, 32 signed codes; weight = d · code. */
const q80: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let j = 0; j < 32; j++) {
    target[to + j] = d * ((source[from + 2 + j]! << 24) >> 24);
  }
};

export const decodeQ4_0 = perBlock('Q4_0', q40);
export const decodeQ4_1 = perBlock('Q4_1', q41);
export const decodeQ5_0 = perBlock('Q5_0', q50);
export const decodeQ5_1 = perBlock('Q5_1', q51);
export const decodeQ8_0 = perBlock('Q8_0', q80);
