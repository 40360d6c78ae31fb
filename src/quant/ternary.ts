import { type DecodeBlock, perBlock } from './block-decoder.js';
import { readF16 } from './float.js';

// Blocks of 256 weights −1, 0, 1 under one half as scale, at the end of the block.
// Layouts: ggml-common.h of llama.cpp.

/**
 * 48 bytes of five ternary digits, 4 bytes of four, d. A byte is the base-3 number of its digits as a fraction of
 * 256, rounded up, the first digit highest: multiplying by 3ⁿ modulo 256 and then by 3 leaves digit n above bit 7.
 * Digits of the same rank are neighbours: 32 weights in the first 32 bytes, 16 in the next 16, 4 in the last 4.
 */
const tq10: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from + 52);
  to = ternaryDigits(source, from, 32, 5, d, target, to);
  to = ternaryDigits(source, from + 32, 16, 5, d, target, to);
  ternaryDigits(source, from + 48, 4, 4, d, target, to);
};

/** Decodes `digits` digits of each of `bytes` bytes and returns where the next weight goes. */
function ternaryDigits(
  source: Uint8Array,
  from: number,
  bytes: number,
  digits: number,
  d: number,
  target: Float32Array,
  to: number,
): number {
  for (let n = 0, power = 1; n < digits; n++, power *= 3) {
    for (let j = 0; j < bytes; j++) {
      const digit = (((source[from + j]! * power) & 255) * 3) >> 8;
      target[to++] = d * (digit - 1);
    }
  }
  return to;
}

/** 64 bytes of 2-bit digits plus one, d; byte j of each 32 holds the digits j, j + 32, j + 64 and j + 96. */
const tq20: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from + 64);
  for (let i = 0; i < 256; i++) {
    const digit = (source[from + (i >> 7) * 32 + (i & 31)]! >> ((i >> 4) & 6)) & 3;
    target[to + i] = d * (digit - 1);
  }
};

export const decodeTQ1_0 = perBlock('TQ1_0', tq10);
export const decodeTQ2_0 = perBlock('TQ2_0', tq20);
