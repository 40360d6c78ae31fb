import type { Outputs, TokenModel } from './token-model.js';

/** Tokens of one sequence, for a batch with those of others; see TokenModel.evaluate. */
export interface SequencePart {
  /** Which of the model's sequences, from 0. */
  readonly sequence: number;
  readonly tokens: ArrayLike<number>;
  readonly position: number;
  readonly outputs: Outputs;
}

/** A model whose cache holds several sequences, which can be computed together. `evaluate` is about sequence 0. */
export interface SequenceModel extends TokenModel {
  /** How many sequences the cache holds, each of `contextSize` positions. */
  readonly sequences: number;
  /**
   * Runs parts of different sequences together, and returns the logits `[outputs, vocabSize]` of each part. Steps are
   * filled with the parts' tokens in the order given. `signal` stops between steps (throws CriaError kind
   * `cancelled`); `cachedTokens` then tells how far each sequence got.
   */
  evaluateBatch(parts: readonly SequencePart[], signal?: AbortSignal): Promise<Float32Array[]>;
  /** The tokens whose keys and values a sequence's cache holds, from position 0. A copy. */
  cachedTokens(sequence: number): Int32Array;
}

/**
 * How many of `prompt`'s first tokens need no evaluation because the cache holds them: the longest common prefix, but
 * never the whole prompt, whose last logits are wanted. Pure.
 */
export function reusablePrefix(cached: ArrayLike<number>, prompt: ArrayLike<number>): number {
  const end = Math.min(cached.length, prompt.length - 1);
  let same = 0;
  while (same < end && cached[same] === prompt[same]) same++;
  return Math.max(0, same);
}
