import { type DecodeBlock, perBlock } from './block-decoder.js';
import { FP4_DOUBLED_VALUES } from './codebooks.js';

// Four-bit floats (E2M1) under an 8-bit scale. The table holds twice their values, so scales are halved.
// Layouts: ggml-common.h of llama.cpp.

/** A block of 32 weights: a power-of-two scale (E8M0), 16 bytes; byte j holds codes j (low half) and j + 16. */
const mxfp4: DecodeBlock = (source, from, target, to) => {
  decodeCodes(source, from + 1, 16, e8m0Half(source[from]!), target, to);
};

/** A block of 64 weights: four scales (unsigned E4M3) of groups of 16, then per group 8 bytes: codes j and j + 8. */
const nvfp4: DecodeBlock = (source, from, target, to) => {
  for (let group = 0; group < 4; group++) {
    const scale = ue4m3Half(source[from + group]!);
    decodeCodes(source, from + 4 + 8 * group, 8, scale, target, to + 16 * group);
  }
};

function decodeCodes(
  source: Uint8Array,
  from: number,
  bytes: number,
  scale: number,
  target: Float32Array,
  to: number,
): void {
  for (let j = 0; j < bytes; j++) {
    const byte = source[from + j]!;
    target[to + j] = scale * FP4_DOUBLED_VALUES[byte & 15]!;
    target[to + j + bytes] = scale * FP4_DOUBLED_VALUES[byte >> 4]!;
  }
}

/** Half of the power of two with this biased exponent: 2^(byte − 128). */
export function e8m0Half(byte: number): number {
  return 2 ** (byte - 128);
}

/** Half of an unsigned E4M3 float (bias 7, with subnormals). As in ggml, its NaN means zero and bit 7 nothing. */
export function ue4m3Half(byte: number): number {
  const exponent = (byte >> 3) & 15;
  const fraction = byte & 7;
  if (byte === 0x7f) {
    return 0;
  }
  return exponent === 0 ? fraction * 2 ** -10 : (8 + fraction) * 2 ** (exponent - 11);
}

export const decodeMXFP4 = perBlock('MXFP4', mxfp4);
export const decodeNVFP4 = perBlock('NVFP4', nvfp4);
