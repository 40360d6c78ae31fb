import type { GgmlType } from './ggml-types.js';

/** One GGUF metadata value with the type it has in the file. 64-bit integers are bigint, everything else number. */
export type MetadataValue =
  | {
      readonly type: 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'float64';
      readonly value: number;
    }
  | { readonly type: 'uint64' | 'int64'; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | MetadataArray;

/** An array value; nested arrays have `items: 'array'`. Element representation follows the scalar types. */
export interface MetadataArray {
  readonly type: 'array';
  readonly items: Exclude<MetadataValue['type'], 'array'> | 'array';
  readonly value: readonly (number | bigint | boolean | string | MetadataArray)[];
}

/** Ordered as in the file. */
export type Metadata = ReadonlyMap<string, MetadataValue>;

export interface TensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** Dimensions in GGUF order: `shape[0]` is the row length (fastest); 1 to 4 entries. */
  readonly shape: readonly number[];
  /** Size of the encoded tensor. */
  readonly bytes: number;
}

/**
 * A model as named metadata and tensors, wherever it lives: a GGUF file (split or not), or a Hugging Face
 * checkpoint folder seen through GGUF names. Readers of models depend on this and not on a file format.
 */
export interface TensorSource {
  /** Path to show in messages. */
  readonly path: string;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Encoded bytes of rows `[start, start + count)` of a tensor into `target`, whose length is exactly
   * `count` × row bytes. Rows count over all dimensions but the first. `target` may view shared memory.
   */
  readRows(name: string, start: number, count: number, target: Uint8Array): Promise<void>;
  /**
   * Where the bytes that `readRows` gives for a tensor lie as they are. Absent for sources that make them up, as from
   * a checkpoint's tensors.
   */
  locate?(name: string): FileRange;
  close(): Promise<void>;
}

/** Bytes of a file. */
export interface FileRange {
  readonly path: string;
  /** Size of the file when it was opened. */
  readonly fileBytes: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Rows of a tensor: the product of all dimensions but the first. */
export function rowCount(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, n) => product * n, 1);
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
