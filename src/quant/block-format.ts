import type { GgmlType } from '../formats/ggml-types.js';

/** How one ggml type turns blocks into weights and back. Implementations are pure and hold no state. */
export interface BlockFormat {
  readonly type: GgmlType;
  /**
   * Decodes whole blocks, bit-exactly as ggml does. `source.length` = blocks × type size and
   * `target.length` = blocks × block size.
   */
  decode(source: Uint8Array, target: Float32Array): void;
  /**
   * Encodes rows of `columns` weights. `importance`, when given, holds one non-negative weight per column
   * (an importance matrix: mean squared activation), used for every row. Absent where no encoder exists.
   */
  encode?(source: Float32Array, target: Uint8Array, columns: number, importance?: Float32Array): void;
}
