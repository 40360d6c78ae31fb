import { CriaError } from '../base/errors.js';
import type { GgmlType } from '../formats/ggml-types.js';
import type { Decode } from './block-decoder.js';
import type { BlockFormat } from './block-format.js';
import { ENCODERS } from './encode/index.js';
import { decodeBf16, decodeF16, decodeF32 } from './float.js';
import { decodeMXFP4, decodeNVFP4 } from './fp4.js';
import { decodeIQ1_M, decodeIQ1_S } from './iq1.js';
import { decodeIQ2_S, decodeIQ2_XS, decodeIQ2_XXS } from './iq2.js';
import { decodeIQ3_S, decodeIQ3_XXS } from './iq3.js';
import { decodeIQ4_NL, decodeIQ4_XS } from './iq4.js';
import { decodeQ2_K, decodeQ3_K, decodeQ4_K, decodeQ5_K, decodeQ6_K } from './k-quants.js';
import { decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './legacy.js';
import { decodeQ1_0, decodeQ2_0 } from './low-bit.js';
import { decodeTQ1_0, decodeTQ2_0 } from './ternary.js';

const decoders: { readonly [type in GgmlType]?: Decode } = {
  F32: decodeF32,
  F16: decodeF16,
  BF16: decodeBf16,
  Q4_0: decodeQ4_0,
  Q4_1: decodeQ4_1,
  Q5_0: decodeQ5_0,
  Q5_1: decodeQ5_1,
  Q8_0: decodeQ8_0,
  Q2_K: decodeQ2_K,
  Q3_K: decodeQ3_K,
  Q4_K: decodeQ4_K,
  Q5_K: decodeQ5_K,
  Q6_K: decodeQ6_K,
  IQ1_S: decodeIQ1_S,
  IQ1_M: decodeIQ1_M,
  IQ2_XXS: decodeIQ2_XXS,
  IQ2_XS: decodeIQ2_XS,
  IQ2_S: decodeIQ2_S,
  IQ3_XXS: decodeIQ3_XXS,
  IQ3_S: decodeIQ3_S,
  IQ4_NL: decodeIQ4_NL,
  IQ4_XS: decodeIQ4_XS,
  TQ1_0: decodeTQ1_0,
  TQ2_0: decodeTQ2_0,
  MXFP4: decodeMXFP4,
  NVFP4: decodeNVFP4,
  Q1_0: decodeQ1_0,
  Q2_0: decodeQ2_0,
};

const formats = new Map<GgmlType, BlockFormat>();
for (const [name, decode] of Object.entries(decoders)) {
  const type = name as GgmlType;
  formats.set(type, { type, decode, encode: ENCODERS[type] });
}

/** Types that hold weights, in the order of their families. */
export const WEIGHT_TYPES: readonly GgmlType[] = [...formats.keys()];

/**
 * How `type` turns blocks into weights and back. Throws `no-block-format` for the integer types and F64, which
 * hold no weights.
 */
export function blockFormat(type: GgmlType): BlockFormat {
  const format = formats.get(type);
  if (format === undefined) {
    throw new CriaError('unsupported', 'no-block-format', `tensor type ${type} does not hold weights`);
  }
  return format;
}
