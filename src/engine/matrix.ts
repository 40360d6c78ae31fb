import type { GgmlType } from '../formats/ggml-types.js';
import type { Address } from './arena-plan.js';

/** Consecutive rows of a matrix that lie together in one arena. */
export interface Piece extends Address {
  readonly rows: number;
}

/**
 * Where the inputs of a matrix product are measured, in the home arena: f64 Σ x² `[matrices][columns]`, then f64
 * rows seen `[matrices]`.
 */
export interface InputSquares {
  readonly offset: number;
  readonly columns: number;
  /** 1, or the number of experts. */
  readonly matrices: number;
}

/**
 * A weight matrix, or the matrices of all experts one after another: in blocks as the file holds them, or packed.
 * Structured-cloneable: every worker has the same description.
 */
export interface Matrix {
  /** Tensor name. */
  readonly name: string;
  readonly type: GgmlType;
  /** ggml's number of the type, as the kernels take it. */
  readonly typeId: number;
  readonly columns: number;
  /** Of the blocks, even where they are packed. */
  readonly rowBytes: number;
  /** Packed form (src/quant/packed-layout.ts); 0 for blocks as in the file. */
  readonly form: number;
  /** Bytes of eight rows of a packed form; 0 for blocks. */
  readonly panelBytes: number;
  /** Blocks per row. */
  readonly blocks: number;
  /** F32, F16 and BF16 multiply float activations; all other types 8-bit ones. */
  readonly float: boolean;
  /** Columns per scale once unpacked (0 for float types). */
  readonly group: number;
  readonly hasMins: boolean;
  /** Least and greatest code once unpacked (0 for float types). */
  readonly minCode: number;
  readonly maxCode: number;
  /** In row order. An expert tensor has one piece per expert. */
  readonly pieces: readonly Piece[];
  /** Present while calibrating; matrices that are always multiplied with the same input share one. */
  readonly inputSquares?: InputSquares;
}
