import { tokenWindows } from '../model/token-windows.js';

export interface TextWindow {
  /** `contextSize` tokens; the first is BOS where the vocabulary has one. */
  readonly ids: readonly number[];
  /** First position whose prediction of the next token is scored. */
  readonly firstScored: number;
}

/**
 * Cuts a text into windows as llama-perplexity does (llama.cpp, tools/perplexity): see `tokenWindows`; only
 * predictions from the middle of a window on are scored, each of which so has at least half a window of context.
 *
 * @param ids tokens of the whole text, BOS included
 * @param limit how many windows at most
 */
export function textWindows(
  ids: readonly number[],
  contextSize: number,
  bosId: number | undefined,
  limit?: number,
): TextWindow[] {
  // Windows of two tokens would otherwise score nothing.
  const firstScored = Math.min(contextSize >> 1, contextSize - 2);
  return tokenWindows(ids, contextSize, bosId, limit).map((window) => ({ ids: window, firstScored }));
}
