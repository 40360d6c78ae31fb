import type { TokenModel } from '../model/token-model.js';
import { type EvaluationModel, evaluationTokens } from './evaluation-model.js';
import { negativeLogLikelihood } from './log-softmax.js';
import { RunningMean } from './running-mean.js';
import { scoredLogits } from './scored-logits.js';
import { textWindows } from './text-windows.js';

export interface PerplexityOptions {
  /** Tokens per window; 512 as llama-perplexity uses. */
  readonly contextSize?: number;
  /** Windows to evaluate; all of the text when absent. */
  readonly chunks?: number;
  /** Called at the start (with NaN) and after each window, with the perplexity of all windows so far. */
  readonly onProgress?: (doneChunks: number, totalChunks: number, perplexity: number) => void;
  readonly signal?: AbortSignal;
}

export interface PerplexityResult {
  readonly perplexity: number;
  /** Standard error of `perplexity`, from the variance of the token likelihoods; 0 when it cannot be estimated. */
  readonly perplexityError: number;
  /** Mean negative log-likelihood of a scored token, in nats. */
  readonly meanNll: number;
  /** Scored tokens. */
  readonly tokens: number;
  readonly chunks: number;
  readonly seconds: number;
}

/**
 * Perplexity of `model` on `text` over the windows of llama-perplexity (llama.cpp), so that figures compare:
 * see `textWindows`. Errors: `text-too-short`, `context-too-small`, kind `cancelled`.
 */
export async function evaluatePerplexity(
  model: EvaluationModel,
  text: string,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  const { contextSize = 512, onProgress, signal } = options;
  const started = performance.now();
  const ids = evaluationTokens(model, text, contextSize);
  const windows = textWindows(ids, contextSize, model.tokenizer.bosId, options.chunks);

  const nlls = new RunningMean();
  onProgress?.(0, windows.length, Number.NaN);
  for (const [done, window] of windows.entries()) {
    for (const nll of await scoreWindow(model, window.ids, window.firstScored, signal)) nlls.add(nll);
    onProgress?.(done + 1, windows.length, Math.exp(nlls.mean));
  }

  const perplexity = Math.exp(nlls.mean);
  return {
    perplexity,
    perplexityError: perplexity * nlls.standardError,
    meanNll: nlls.mean,
    tokens: nlls.count,
    chunks: windows.length,
    seconds: (performance.now() - started) / 1000,
  };
}

/**
 * Negative log-likelihood, in nats, of each token after position `firstScored`, given all tokens before it:
 * entry `i` belongs to `ids[firstScored + 1 + i]`.
 */
export async function scoreWindow(
  model: TokenModel,
  ids: readonly number[],
  firstScored: number,
  signal?: AbortSignal,
): Promise<Float64Array> {
  const vocab = model.vocabSize;
  const nlls = new Float64Array(ids.length - 1 - firstScored);
  for await (const { first, rows, logits } of scoredLogits(model, { ids, firstScored }, signal)) {
    for (let i = 0; i < rows; i++) {
      const row = logits.subarray(i * vocab, (i + 1) * vocab);
      nlls[first - firstScored + i] = negativeLogLikelihood(row, ids[first + i + 1]!);
    }
  }
  return nlls;
}
