import { type DecodeBlock, perBlock } from './block-decoder.js';
import { readF16 } from './float.js';

// One half as scale, d, then codes packed in the order of the weights, lowest bits first.
// Layouts: ggml-common.h of llama.cpp.

/** 128 weights of one bit: d where it is set, −d where not. */
const q10: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let i = 0; i < 128; i++) {
    target[to + i] = (source[from + 2 + (i >> 3)]! >> (i & 7)) & 1 ? d : -d;
  }
};

/** 64 weights of two bits: weight = d · (code − 1). */
const q20: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  for (let i = 0; i < 64; i++) {
    const code = (source[from + 2 + (i >> 2)]! >> (2 * (i & 3))) & 3;
    target[to + i] = d * (code - 1);
  }
};

export const decodeQ1_0 = perBlock('Q1_0', q10);
export const decodeQ2_0 = perBlock('Q2_0', q20);
