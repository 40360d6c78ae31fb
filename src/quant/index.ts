import { CriaError } from '../base/errors.js';
import type { GgmlType } from '../formats/ggml-types.js';
import type { Decode } from './block-decoder.js';
import type { BlockFormat } from './block-format.js';
import { decodeBf16, decodeF16, decodeF32 } from './float.js';
import { decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './legacy.js';

const decoders: { readonly [type in GgmlType]?: Decode } = {
  F32: decodeF32,
  F16: decodeF16,
  BF16: decodeBf16,
  Q4_0: decodeQ4_0,
  Q4_1: decodeQ4_1,
  Q5_0: decodeQ5_0,
  Q5_1: decodeQ5_1,
  Q8_0: decodeQ8_0,
};

const encoders: { readonly [type in GgmlType]?: NonNullable<BlockFormat['encode']> } = {};

const formats = new Map<GgmlType, BlockFormat>();
for (const [name, decode] of Object.entries(decoders)) {
  const type = name as GgmlType;
  formats.set(type, { type, decode, encode: encoders[type] });
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
