import { CriaError } from '../base/errors.js';
import type { TokenModel } from '../model/token-model.js';
import { negativeLogLikelihood } from './log-softmax.js';
import { textWindows } from './text-windows.js';

/** The part of a tokenizer that evaluation needs. */
export interface EvaluationTokenizer {
  readonly bosId: number | undefined;
  encode(text: string, options: { addBos: boolean; parseSpecial: boolean }): readonly number[];
}

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
  model: TokenModel & { readonly tokenizer: EvaluationTokenizer },
  text: string,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  const { contextSize = 512, onProgress, signal } = options;
  const started = performance.now();
  if (contextSize > model.contextSize) {
    throw new CriaError(
      'usage',
      'context-too-small',
      `windows of ${contextSize} tokens need a context at least as long, found ${model.contextSize}`,
    );
  }
  const ids = model.tokenizer.encode(text, { addBos: true, parseSpecial: false });
  const windows = textWindows(ids, contextSize, model.tokenizer.bosId, options.chunks);

  let tokens = 0;
  let sum = 0;
  let sumOfSquares = 0;
  onProgress?.(0, windows.length, Number.NaN);
  for (const [done, window] of windows.entries()) {
    for (const nll of await scoreWindow(model, window.ids, window.firstScored, signal)) {
      sum += nll;
      sumOfSquares += nll * nll;
      tokens++;
    }
    onProgress?.(done + 1, windows.length, Math.exp(sum / tokens));
  }

  const meanNll = sum / tokens;
  const perplexity = Math.exp(meanNll);
  const variance = Math.max(0, sumOfSquares / tokens - meanNll * meanNll);
  return {
    perplexity,
    perplexityError: tokens > 1 ? perplexity * Math.sqrt(variance / (tokens - 1)) : 0,
    meanNll,
    tokens,
    chunks: windows.length,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Logits held at once: 2^26 floats are 256 MiB, a whole window of 512 for Llama 4's vocabulary. */
const LOGITS_AT_ONCE = 2 ** 26;

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
  const rowsAtOnce = Math.max(1, Math.floor(LOGITS_AT_ONCE / vocab));
  // The last token is only ever a target: evaluating it would give logits that nothing reads.
  const end = ids.length - 1;
  const nlls = new Float64Array(end - firstScored);
  let evaluated = 0;
  for (let first = firstScored; first < end; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, end - first);
    const outputs = Array.from({ length: rows }, (_, i) => first - evaluated + i);
    const logits = await model.evaluate(ids.slice(evaluated, first + rows), evaluated, outputs, signal);
    for (let i = 0; i < rows; i++) {
      const row = logits.subarray(i * vocab, (i + 1) * vocab);
      nlls[first - firstScored + i] = negativeLogLikelihood(row, ids[first + i + 1]!);
    }
    evaluated = first + rows;
  }
  return nlls;
}
