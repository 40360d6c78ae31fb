import { CriaError } from '../base/errors.js';

/**
 * Cuts tokens into windows as llama.cpp's perplexity and imatrix tools do: they do not overlap, a rest shorter than a
 * window is dropped, and the first token of each is overwritten with BOS where the vocabulary has one.
 * Throws (usage) `bad-value` for windows of less than 2 tokens, `text-too-short` when there is not one whole window.
 *
 * @param ids tokens of the whole text, BOS included
 * @param limit how many windows at most
 */
export function tokenWindows(
  ids: readonly number[],
  size: number,
  bosId: number | undefined,
  limit = Number.POSITIVE_INFINITY,
): number[][] {
  if (size < 2) {
    throw new CriaError('usage', 'bad-value', `a window needs at least 2 tokens, found ${size}`);
  }
  const count = Math.min(limit, Math.floor(ids.length / size));
  if (count < 1) {
    throw new CriaError(
      'usage',
      'text-too-short',
      `expected a text of at least ${size} tokens (one window), found ${ids.length}`,
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const window = ids.slice(i * size, (i + 1) * size);
    if (bosId !== undefined) window[0] = bosId;
    return window;
  });
}
