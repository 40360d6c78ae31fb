import type { GgmlType } from '../../formats/ggml-types.js';
import type { Encode } from './block-encoder.js';
import { encodeBf16, encodeF16, encodeF32 } from './float.js';
import { encodeMXFP4, encodeNVFP4 } from './fp4.js';
import { encodeIQ1_M, encodeIQ1_S } from './iq1.js';
import { encodeIQ2_S, encodeIQ2_XS, encodeIQ2_XXS } from './iq2.js';
import { encodeIQ3_S, encodeIQ3_XXS } from './iq3.js';
import { encodeIQ4_NL, encodeIQ4_XS } from './iq4.js';
import { encodeQ2_K, encodeQ3_K, encodeQ4_K, encodeQ5_K, encodeQ6_K } from './k-quants.js';
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './legacy.js';
import { encodeQ1_0, encodeQ2_0 } from './low-bit.js';
import { encodeTQ1_0, encodeTQ2_0 } from './ternary.js';

export const ENCODERS: { readonly [type in GgmlType]?: Encode } = {
  F32: encodeF32,
  F16: encodeF16,
  BF16: encodeBf16,
  Q4_0: encodeQ4_0,
  Q4_1: encodeQ4_1,
  Q5_0: encodeQ5_0,
  Q5_1: encodeQ5_1,
  Q8_0: encodeQ8_0,
  Q2_K: encodeQ2_K,
  Q3_K: encodeQ3_K,
  Q4_K: encodeQ4_K,
  Q5_K: encodeQ5_K,
  Q6_K: encodeQ6_K,
  IQ1_S: encodeIQ1_S,
  IQ1_M: encodeIQ1_M,
  IQ2_XXS: encodeIQ2_XXS,
  IQ2_XS: encodeIQ2_XS,
  IQ2_S: encodeIQ2_S,
  IQ3_XXS: encodeIQ3_XXS,
  IQ3_S: encodeIQ3_S,
  IQ4_NL: encodeIQ4_NL,
  IQ4_XS: encodeIQ4_XS,
  TQ1_0: encodeTQ1_0,
  TQ2_0: encodeTQ2_0,
  MXFP4: encodeMXFP4,
  NVFP4: encodeNVFP4,
  Q1_0: encodeQ1_0,
  Q2_0: encodeQ2_0,
};
