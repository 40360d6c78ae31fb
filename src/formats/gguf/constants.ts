import type { MetadataValue } from '../tensor-source.js';

// Numbers of the format: github.com/ggml-org/ggml/blob/master/docs/gguf.md.

/** `GGUF` read as a little-endian u32. */
export const GGUF_MAGIC = 0x46554747;
/** Version written. Version 2 has the same layout and is read as well; version 1 had 32-bit counts. */
export const GGUF_VERSION = 3;
export const DEFAULT_ALIGNMENT = 32;
export const ALIGNMENT_KEY = 'general.alignment';
export const MAX_DIMENSIONS = 4;

/** Value types at the place of their number in the file. */
export const VALUE_TYPES = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const satisfies readonly MetadataValue['type'][];

/** Smallest number of bytes that a value takes inside an array; exact for all but strings and arrays. */
export const MIN_VALUE_BYTES: Readonly<Record<MetadataValue['type'], number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  array: 12,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Keys by which the parts of a split model know each other. */
export const SPLIT_KEYS = {
  /** u16, counts from 0. */
  no: 'split.no',
  /** u16. */
  count: 'split.count',
  /** i32, tensors in all parts. */
  tensors: 'split.tensors.count',
} as const;

/** `n` rounded up to a multiple of `alignment`; exact for every safe integer. */
export function align(n: number, alignment: number): number {
  return Math.ceil(n / alignment) * alignment;
}
