import { CriaError } from '../base/errors.js';

/** Name of a ggml tensor type, spelled as llama.cpp prints it in upper case (`Q4_K`, `IQ2_XXS`, `BF16`). */
export type GgmlType = keyof typeof TYPES;

export interface GgmlTypeInfo {
  readonly name: GgmlType;
  /** Number stored in GGUF files (`enum ggml_type`). */
  readonly id: number;
  /** Weights per block. A row is a whole number of blocks. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly typeSize: number;
}

// [id, weights per block, bytes per block], from ggml.h and ggml-common.h of llama.cpp v0.5.0.
const TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
  NVFP4: [40, 64, 36],
  Q1_0: [41, 128, 18],
  Q2_0: [42, 64, 18],
} as const satisfies Record<string, readonly [id: number, blockSize: number, typeSize: number]>;

const infos = new Map<GgmlType, GgmlTypeInfo>();
const infosById = new Map<number, GgmlTypeInfo>();
for (const [name, [id, blockSize, typeSize]] of Object.entries(TYPES)) {
  const info = { name: name as GgmlType, id, blockSize, typeSize };
  infos.set(info.name, info);
  infosById.set(id, info);
}

export const GGML_TYPES: readonly GgmlTypeInfo[] = [...infos.values()];

export function ggmlType(name: GgmlType): GgmlTypeInfo {
  return infos.get(name)!;
}

/** The type with this GGUF number, or undefined when no such type exists. */
export function ggmlTypeById(id: number): GgmlTypeInfo | undefined {
  return infosById.get(id);
}

/** Looks a type up by the name a user typed (`q4_k`, `BF16`). Throws `unknown-type` listing the known names. */
export function parseGgmlType(text: string): GgmlType {
  const name = text.toUpperCase() as GgmlType;
  if (!infos.has(name)) {
    const known = [...infos.keys()].join(', ');
    throw new CriaError('usage', 'unknown-type', `unknown tensor type '${text}': expected one of ${known}`);
  }
  return name;
}

/**
 * Bytes of one row of `columns` weights. `columns` must be a multiple of the block size
 * (`row-not-whole-blocks` otherwise).
 */
export function rowBytes(type: GgmlType, columns: number): number {
  const { blockSize, typeSize } = ggmlType(type);
  if (columns % blockSize !== 0) {
    throw new CriaError(
      'unsupported',
      'row-not-whole-blocks',
      `a row of ${columns} weights is not a whole number of ${type} blocks of ${blockSize}`,
    );
  }
  return (columns / blockSize) * typeSize;
}
