import { CriaError } from '../../base/errors.js';
import type { TokenModel } from '../../model/token-model.js';
import { StreamingDecoder } from '../../model/tokenizer/index.js';
import type { GenerationTokenizer } from '../generate.js';

/** A tokenizer of one token per byte, `size` of them, the last of which ends the text. */
export function byteTokenizer(size: number): GenerationTokenizer {
  const decodeBytes = (ids: ArrayLike<number>) => Uint8Array.from(ids);
  return {
    vocabSize: size,
    stopIds: [size - 1],
    streamingDecoder: (options) => new StreamingDecoder({ decodeBytes }, options),
  };
}

export interface TableModel extends TokenModel {
  /** Tokens and positions of every evaluation. */
  readonly calls: { readonly tokens: readonly number[]; readonly position: number }[];
}

/**
 * A model whose logits are a function of the text so far. It keeps a cache as the engine does, and refuses positions
 * that cannot follow it, so that a wrong position shows as wrong logits or as an error.
 */
export function tableModel(
  vocabSize: number,
  logitsAfter: (text: readonly number[]) => ArrayLike<number>,
  contextSize = 1000,
): TableModel {
  let cache: number[] = [];
  const calls: TableModel['calls'] = [];
  return {
    vocabSize,
    contextSize,
    calls,
    evaluate: async (tokens, position, outputs, signal) => {
      if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
      if (position > cache.length) throw new Error(`position ${position} after ${cache.length} tokens`);
      if (position + tokens.length > contextSize) throw new Error('context full');
      const start = position;
      cache = [...cache.slice(0, start), ...Array.from(tokens)];
      calls.push({ tokens: Array.from(tokens), position });
      const all = Array.from(tokens, (_, i) => i);
      const rows =
        outputs === 'none' ? [] : outputs === 'last' ? all.slice(-1) : outputs === 'all' ? all : outputs;
      const logits = new Float32Array(rows.length * vocabSize);
      for (const [i, row] of rows.entries()) {
        logits.set(Array.from(logitsAfter(cache.slice(0, start + row + 1))), i * vocabSize);
      }
      return logits;
    },
  };
}

/** Logits that depend on the last tokens and on `salt`, between −spread and spread. */
export function hashedLogits(vocabSize: number, salt: number, spread = 2) {
  return (text: readonly number[]): number[] => {
    let state = salt | 0;
    for (const id of text.slice(-2)) state = Math.imul(state ^ id, 0x85ebca6b) ^ (state >>> 15);
    return Array.from({ length: vocabSize }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return ((state >>> 8) / 2 ** 23 - 1) * spread;
    });
  };
}
