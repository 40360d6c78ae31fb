import type { GgmlType } from '../../formats/ggml-types.js';
import { type BlockEncoder, type Encode, rowEncoder } from './block-encoder.js';
import { encodeBf16, encodeF16, encodeF32 } from './float.js';
import { encodeMXFP4, encodeNVFP4 } from './fp4.js';
import { iq1m, iq1mFormat, iq1s, iq1sFormat } from './iq1.js';
import { iq2s, iq2sFormat, iq2xs, iq2xsFormat, iq2xxs, iq2xxsFormat } from './iq2.js';
import { iq3s, iq3sFormat, iq3xxs, iq3xxsFormat } from './iq3.js';
import { encodeIQ4_NL, encodeIQ4_XS } from './iq4.js';
import { Q2_SHAPE, Q3_SHAPE, Q4_SHAPE, Q5_SHAPE, Q6_SHAPE, q2k, q3k, q4k, q5k, q6k } from './k-quants.js';
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './legacy.js';
import { encodeQ1_0, encodeQ2_0 } from './low-bit.js';
import { REFERENCE_SEARCHES, type Searches } from './searches.js';
import { encodeTQ1_0, encodeTQ2_0 } from './ternary.js';

export type Encoders = { readonly [type in GgmlType]?: Encode };

/** Encoders of the formats that need a long search, with the searches given. */
export function searchingEncoders({ words, superAffine, superScale }: Searches): Encoders {
  const blocks: { readonly [type in GgmlType]?: () => BlockEncoder } = {
    Q2_K: () => q2k(superAffine(Q2_SHAPE)),
    Q3_K: () => q3k(superScale(Q3_SHAPE)),
    Q4_K: () => q4k(superAffine(Q4_SHAPE)),
    Q5_K: () => q5k(superAffine(Q5_SHAPE)),
    Q6_K: () => q6k(superScale(Q6_SHAPE)),
    IQ1_S: () => iq1s(words(iq1sFormat())),
    IQ1_M: () => iq1m(words(iq1mFormat())),
    IQ2_XXS: () => iq2xxs(words(iq2xxsFormat())),
    IQ2_XS: () => iq2xs(words(iq2xsFormat())),
    IQ2_S: () => iq2s(words(iq2sFormat())),
    IQ3_XXS: () => iq3xxs(words(iq3xxsFormat())),
    IQ3_S: () => iq3s(words(iq3sFormat())),
  };
  return Object.fromEntries(
    Object.entries(blocks).map(([type, block]) => [type, onFirstUse(type as GgmlType, block)]),
  );
}

/** Tables and working memory of a search take megabytes, and most programs encode few types or none. */
function onFirstUse(type: GgmlType, newBlockEncoder: () => BlockEncoder): Encode {
  let encode: Encode | undefined;
  return (source, target, columns, importance) => {
    encode ??= rowEncoder(type, newBlockEncoder());
    encode(source, target, columns, importance);
  };
}

/** The reference encoders, all in TypeScript. */
export const ENCODERS: Encoders = {
  F32: encodeF32,
  F16: encodeF16,
  BF16: encodeBf16,
  Q4_0: encodeQ4_0,
  Q4_1: encodeQ4_1,
  Q5_0: encodeQ5_0,
  Q5_1: encodeQ5_1,
  Q8_0: encodeQ8_0,
  IQ4_NL: encodeIQ4_NL,
  IQ4_XS: encodeIQ4_XS,
  TQ1_0: encodeTQ1_0,
  TQ2_0: encodeTQ2_0,
  MXFP4: encodeMXFP4,
  NVFP4: encodeNVFP4,
  Q1_0: encodeQ1_0,
  Q2_0: encodeQ2_0,
  ...searchingEncoders(REFERENCE_SEARCHES),
};
