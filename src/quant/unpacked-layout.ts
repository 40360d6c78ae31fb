import type { GgmlType } from '../formats/ggml-types.js';

// What the unpack kernels (assembly/unpack) make of a block: an int8 code per weight and a float scale, and for some
// types a float minimum, per group of consecutive weights, so that weight = scale · code − minimum in float
// arithmetic, with exactly the bits that ggml decodes (of a NaN, only that it is one).

const GROUPS_OF_16: ReadonlySet<GgmlType> = new Set([
  'Q2_K',
  'Q3_K',
  'Q6_K',
  'IQ1_M',
  'IQ2_XS',
  'IQ2_S',
  'NVFP4',
]);

const WITH_MINS: ReadonlySet<GgmlType> = new Set(['Q4_1', 'Q5_1', 'Q2_K', 'Q4_K', 'Q5_K']);

/** Weights that share an unpacked scale. */
export function unpackedGroup(type: GgmlType): 16 | 32 {
  return GROUPS_OF_16.has(type) ? 16 : 32;
}

/** Least and greatest code that unpacking gives. */
export interface CodeRange {
  readonly min: number;
  readonly max: number;
}

const CODE_RANGES: Partial<Record<GgmlType, CodeRange>> = {
  Q1_0: { min: -1, max: 1 },
  Q2_0: { min: -1, max: 2 },
  Q4_0: { min: -8, max: 7 },
  Q4_1: { min: 0, max: 15 },
  Q5_0: { min: -16, max: 15 },
  Q5_1: { min: 0, max: 31 },
  Q8_0: { min: -128, max: 127 },
  Q2_K: { min: 0, max: 3 },
  Q3_K: { min: -4, max: 3 },
  Q4_K: { min: 0, max: 15 },
  Q5_K: { min: 0, max: 31 },
  Q6_K: { min: -32, max: 31 },
  IQ1_S: { min: -9, max: 9 },
  IQ1_M: { min: -9, max: 9 },
  IQ2_XXS: { min: -43, max: 43 },
  IQ2_XS: { min: -43, max: 43 },
  IQ2_S: { min: -43, max: 43 },
  IQ3_XXS: { min: -62, max: 62 },
  IQ3_S: { min: -15, max: 15 },
  IQ4_NL: { min: -127, max: 113 },
  IQ4_XS: { min: -127, max: 113 },
  TQ1_0: { min: -1, max: 1 },
  TQ2_0: { min: -1, max: 2 },
  MXFP4: { min: -12, max: 12 },
  NVFP4: { min: -12, max: 12 },
};

/** The products choose their arithmetic by it; types that are not listed here have none. */
export function codeRange(type: GgmlType): CodeRange {
  const range = CODE_RANGES[type];
  if (!range) throw new TypeError(`${type} has no unpacked codes`);
  return range;
}

/** Whether the unpacked groups have a minimum besides the scale. */
export function hasMins(type: GgmlType): boolean {
  return WITH_MINS.has(type);
}
