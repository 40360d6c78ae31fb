/** Which positions of an evaluated run of tokens give logits; indices count within the run. */
export type Outputs = 'none' | 'last' | 'all' | readonly number[];

/**
 * A language model as generation and evaluation see it: token ids in, logits out. The cache holds one
 * sequence; positions count from 0.
 */
export interface TokenModel {
  readonly vocabSize: number;
  /** Positions the cache can hold. */
  readonly contextSize: number;
  /**
   * Runs `tokens` at positions `position`, `position + 1`, … against the cached positions before them, which must
   * have been evaluated already (`position` 0 starts afresh; a smaller `position` than before drops what follows it).
   * Returns logits `[outputs, vocabSize]`, row by row. Long runs are cut into batches internally; `signal` stops
   * between batches (throws CriaError kind `cancelled`). Negative ids stand for rows of pictures: see EmbeddingRows.
   */
  evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
    signal?: AbortSignal,
  ): Promise<Float32Array>;
}
