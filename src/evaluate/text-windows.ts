import { CriaError } from '../base/errors.js';

export interface TextWindow {
  /** `contextSize` tokens; the first is BOS where the vocabulary has one. */
  readonly ids: readonly number[];
  /** First position whose prediction of the next token is scored. */
  readonly firstScored: number;
}

/**
 * Cuts a text into windows as llama-perplexity does (llama.cpp, tools/perplexity): they do not overlap, a rest
 * shorter than a window is dropped, the first token of each is overwritten with BOS, and only predictions from the
 * middle on are scored, each of which so has at least half a window of context.
 *
 * @param ids tokens of the whole text, BOS included
 * @param limit how many windows at most
 */
export function textWindows(
  ids: readonly number[],
  contextSize: number,
  bosId: number | undefined,
  limit = Number.POSITIVE_INFINITY,
): TextWindow[] {
  if (contextSize < 2) {
    throw new CriaError('usage', 'bad-value', `a window needs at least 2 tokens, found ${contextSize}`);
  }
  const count = Math.min(limit, Math.floor(ids.length / contextSize));
  if (count < 1) {
    throw new CriaError(
      'usage',
      'text-too-short',
      `expected a text of at least ${contextSize} tokens (one window), found ${ids.length}`,
    );
  }
  const firstScored = contextSize >> 1;
  return Array.from({ length: count }, (_, i) => {
    const window = ids.slice(i * contextSize, (i + 1) * contextSize);
    if (bosId !== undefined) window[0] = bosId;
    // Windows of two tokens would otherwise score nothing.
    return { ids: window, firstScored: Math.min(firstScored, contextSize - 2) };
  });
}
