import type { GgmlType } from '../../formats/ggml-types.js';
import type { Encode } from './block-encoder.js';
import { COMPILED_TYPES, compiledEncoder } from './compiled.js';
import { encodeBf16, encodeF16, encodeF32 } from './float.js';
import { encodeMXFP4, encodeNVFP4 } from './fp4.js';
import { encodeQ1_0, encodeQ2_0 } from './low-bit.js';
import { encodeQ8_0 } from './q8.js';
import { encodeTQ1_0, encodeTQ2_0 } from './ternary.js';

export type Encoders = { readonly [type in GgmlType]?: Encode };

export const ENCODERS: Encoders = {
  F32: encodeF32,
  F16: encodeF16,
  BF16: encodeBf16,
  Q8_0: encodeQ8_0,
  TQ1_0: encodeTQ1_0,
  TQ2_0: encodeTQ2_0,
  MXFP4: encodeMXFP4,
  NVFP4: encodeNVFP4,
  Q1_0: encodeQ1_0,
  Q2_0: encodeQ2_0,
  ...Object.fromEntries(COMPILED_TYPES.map((type) => [type, compiledEncoder(type)])),
};
