import { type DecodeBlock, perBlock } from './block-decoder.js';
import { readF16 } from './float.js';

// Super-blocks of 256 weights: a half as super-scale, d, over small integer scales of groups of 16 or 32 weights;
// Q2_K, Q4_K and Q5_K add an offset per group, as small integers under the super-offset dmin.
// Layouts: ggml-common.h of llama.cpp.

/**
 * 16 bytes of group scales (low half) and offsets (high half), 64 bytes of 2-bit codes, d, dmin; groups of 16.
 * Byte j of each 32 bytes of codes holds the codes j, j + 32, j + 64 and j + 96 of 128 weights, lowest bits first.
 */
const q2k: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from + 80);
  const dmin = readF16(source, from + 82);
  for (let group = 0; group < 16; group++) {
    const scales = source[from + group]!;
    const scale = d * (scales & 15);
    const offset = dmin * (scales >> 4);
    const codes = from + 16 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = group & 6;
    for (let j = 0; j < 16; j++) {
      target[to + 16 * group + j] = scale * ((source[codes + j]! >> shift) & 3) - offset;
    }
  }
};

/**
 * 32 bytes of third bits, 64 bytes of 2-bit codes as in Q2_K, 12 bytes of 6-bit group scales, d; groups of 16.
 * Bit b of byte j of the third bits belongs to code j + 32b; it is set where 4 is *not* to be subtracted.
 */
const q3k: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from + 108);
  for (let group = 0; group < 16; group++) {
    const scale = d * (q3kScale(source, from + 96, group) - 32);
    const column = (group & 1) * 16;
    const codes = from + 32 + (group >> 3) * 32 + column;
    const thirdBits = from + column;
    const shift = group & 6;
    for (let j = 0; j < 16; j++) {
      const low = (source[codes + j]! >> shift) & 3;
      const third = (source[thirdBits + j]! >> (group >> 1)) & 1;
      target[to + 16 * group + j] = scale * (low + 4 * third - 4);
    }
  }
};

/** Scale 0..63 of a group: low halves of four bits in the first 8 bytes, then four times 2 bits in each of 4 bytes. */
function q3kScale(source: Uint8Array, scales: number, group: number): number {
  const low = (source[scales + (group & 7)]! >> (4 * (group >> 3))) & 15;
  const high = (source[scales + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3;
  return low | (high << 4);
}

/** d, dmin, 12 bytes of group scales and offsets, 128 bytes of 4-bit codes; groups of 32. */
const q4k: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const dmin = readF16(source, from + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * groupScale(source, from + 4, group);
    const offset = dmin * groupOffset(source, from + 4, group);
    const codes = from + 16 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let j = 0; j < 32; j++) {
      target[to + 32 * group + j] = scale * ((source[codes + j]! >> shift) & 15) - offset;
    }
  }
};

/** As Q4_K with 32 bytes of fifth bits before the codes: bit g of byte j belongs to code j of group g. */
const q5k: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from);
  const dmin = readF16(source, from + 2);
  for (let group = 0; group < 8; group++) {
    const scale = d * groupScale(source, from + 4, group);
    const offset = dmin * groupOffset(source, from + 4, group);
    const codes = from + 48 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let j = 0; j < 32; j++) {
      const low = (source[codes + j]! >> shift) & 15;
      const fifth = (source[from + 16 + j]! >> group) & 1;
      target[to + 32 * group + j] = scale * (low | (fifth << 4)) - offset;
    }
  }
};

// The 12 bytes of Q4_K and Q5_K hold eight 6-bit scales and offsets. Bytes 0..3 and 4..7 are the scales and the
// offsets of groups 0..3, below the two highest bits of those of groups 4..7; the low and high halves of bytes
// 8..11 are the rest of the scales and of the offsets of groups 4..7.
function groupScale(source: Uint8Array, at: number, group: number): number {
  return group < 4
    ? source[at + group]! & 63
    : (source[at + group + 4]! & 15) | ((source[at + group - 4]! >> 6) << 4);
}

function groupOffset(source: Uint8Array, at: number, group: number): number {
  return group < 4
    ? source[at + group + 4]! & 63
    : (source[at + group + 4]! >> 4) | ((source[at + group]! >> 6) << 4);
}

/**
 * 128 bytes with the low four bits of the codes, 64 bytes with the high two, 16 signed group scales, d; groups
 * of 16. In each half of 128 weights, low byte j (of 64) holds codes j and j + 64, high byte j (of 32) the codes
 * j, j + 32, j + 64 and j + 96.
 */
const q6k: DecodeBlock = (source, from, target, to) => {
  const d = readF16(source, from + 208);
  for (let group = 0; group < 16; group++) {
    const scale = d * ((source[from + 192 + group]! << 24) >> 24);
    const half = group >> 3;
    const low = from + 64 * half + (group & 3) * 16;
    const lowShift = group & 4;
    const high = from + 128 + 32 * half + (group & 1) * 16;
    const highShift = group & 6;
    for (let j = 0; j < 16; j++) {
      const code = ((source[low + j]! >> lowShift) & 15) | (((source[high + j]! >> highShift) & 3) << 4);
      target[to + 16 * group + j] = scale * (code - 32);
    }
  }
};

export const decodeQ2_K = perBlock('Q2_K', q2k);
export const decodeQ3_K = perBlock('Q3_K', q3k);
export const decodeQ4_K = perBlock('Q4_K', q4k);
export const decodeQ5_K = perBlock('Q5_K', q5k);
export const decodeQ6_K = perBlock('Q6_K', q6k);
