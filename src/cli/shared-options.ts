import type { CacheType, CacheTypes } from '../model/layout.js';
import { choice, integer } from './options.js';
import type { Positional } from './verb.js';

// What several verbs take in the same words.

export const MODEL: Positional = {
  name: 'MODEL',
  help: 'a GGUF file, the first part of a split one, a checkpoint folder, or the name of a pulled model',
};

/** Windows of text that a model runs over. */
export const WINDOW_OPTIONS = {
  contextSize: integer(['-c', '--ctx-size'], { initial: 512, min: 2, help: 'tokens of a window' }),
  chunks: integer(['--chunks'], { initial: -1, min: -1, help: 'windows to evaluate at most; -1 for all' }),
};

export const THREADS = integer(['-t', '--threads'], {
  initial: undefined,
  min: 1,
  max: 512,
  help: 'worker threads (default: one per processor core)',
});

export const BATCH_SIZE = integer(['-b', '--batch-size'], {
  initial: undefined,
  min: 1,
  max: 65536,
  help: 'tokens computed at once',
});

export const REPACK = choice(['--repack'], ['full', 'lean', 'off'], {
  initial: undefined,
  help: 'how weights are laid out in memory: as large as is fastest, at most 15 % larger than in the file, or as in the file (default lean)',
});

export const FIT = choice(['-fit', '--fit'], ['on', 'off'], {
  initial: 'on',
  help: 'choose context, cache type and layout of weights, where not given, so that the model fits free memory',
});

/** The types of cached keys and values where at least one was named; the other is f16 then. */
export function cacheTypes(values: {
  readonly cacheTypeK: CacheType | undefined;
  readonly cacheTypeV: CacheType | undefined;
}): CacheTypes | undefined {
  const { cacheTypeK: keys, cacheTypeV } = values;
  return keys || cacheTypeV ? { keys: keys ?? 'f16', values: cacheTypeV ?? 'f16' } : undefined;
}
