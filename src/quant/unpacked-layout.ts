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

/** Whether the unpacked groups have a minimum besides the scale. */
export function hasMins(type: GgmlType): boolean {
  return WITH_MINS.has(type);
}
