import type { TokenModel } from './token-model.js';

/** What the rows that a weight tensor was multiplied with added up to. */
export interface CollectedSquares {
  /** Σ x² of each column, `[matrices][columns]`; a tensor of experts has one matrix per expert. */
  readonly sums: Float64Array;
  /** Rows, per matrix. */
  readonly counts: Float64Array;
}

/** A model that can measure the inputs of its weight matrices while it evaluates. */
export interface CollectingModel extends TokenModel {
  /**
   * By tensor name, everything since the start or the last `resetCollected`. The arrays are the model's own: valid
   * until the next evaluation. Tensors with the same input share their arrays.
   */
  collected(): ReadonlyMap<string, CollectedSquares>;
  resetCollected(): void;
}
