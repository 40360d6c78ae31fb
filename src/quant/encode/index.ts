import type { GgmlType } from '../../formats/ggml-types.js';
import { type BlockEncoder, type Encode, rowEncoder } from './block-encoder.js';
import { encodeBf16, encodeF16, encodeF32 } from './float.js';
import { encodeMXFP4, encodeNVFP4 } from './fp4.js';
import { IQ1_M_FORMAT, IQ1_S_FORMAT, iq1m, iq1s } from './iq1.js';
import { IQ2_S_FORMAT, IQ2_XS_FORMAT, IQ2_XXS_FORMAT, iq2s, iq2xs, iq2xxs } from './iq2.js';
import { IQ3_S_FORMAT, IQ3_XXS_FORMAT, iq3s, iq3xxs } from './iq3.js';
import { encodeIQ4_NL, encodeIQ4_XS } from './iq4.js';
import { encodeQ2_K, encodeQ3_K, encodeQ4_K, encodeQ5_K, encodeQ6_K } from './k-quants.js';
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './legacy.js';
import { encodeQ1_0, encodeQ2_0 } from './low-bit.js';
import { encodeTQ1_0, encodeTQ2_0 } from './ternary.js';
import { newWordSearch, type WordFormat, type WordSearch } from './word-search.js';

export type Encoders = { readonly [type in GgmlType]?: Encode };

const LATTICE_FORMATS: readonly (readonly [GgmlType, WordFormat, (search: WordSearch) => BlockEncoder])[] = [
  ['IQ1_S', IQ1_S_FORMAT, iq1s],
  ['IQ1_M', IQ1_M_FORMAT, iq1m],
  ['IQ2_XXS', IQ2_XXS_FORMAT, iq2xxs],
  ['IQ2_XS', IQ2_XS_FORMAT, iq2xs],
  ['IQ2_S', IQ2_S_FORMAT, iq2s],
  ['IQ3_XXS', IQ3_XXS_FORMAT, iq3xxs],
  ['IQ3_S', IQ3_S_FORMAT, iq3s],
];

/** Encoders of the lattice formats with searches that `newSearch` makes: the reference, or compiled ones. */
export function latticeEncoders(newSearch: (format: WordFormat) => WordSearch): Encoders {
  return Object.fromEntries(
    LATTICE_FORMATS.map(([type, format, encoder]) => [type, rowEncoder(type, encoder(newSearch(format)))]),
  );
}

export const ENCODERS: Encoders = {
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
  ...latticeEncoders(newWordSearch),
  IQ4_NL: encodeIQ4_NL,
  IQ4_XS: encodeIQ4_XS,
  TQ1_0: encodeTQ1_0,
  TQ2_0: encodeTQ2_0,
  MXFP4: encodeMXFP4,
  NVFP4: encodeNVFP4,
  Q1_0: encodeQ1_0,
  Q2_0: encodeQ2_0,
};
