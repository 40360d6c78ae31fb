import { CriaError } from '../base/errors.js';
import { type BaseFile, BaseFileWriter } from './base-file.js';
import { DivergenceStatistics, type DivergenceSummary } from './divergence-statistics.js';
import { checkWindowFits, type EvaluationModel, evaluationTokens } from './evaluation-model.js';
import { compareLogits, compareWithStored, type RowDivergence } from './row-divergence.js';
import { type ScoredLogits, scoredLogits } from './scored-logits.js';
import { type TextWindow, textWindows } from './text-windows.js';

export interface DivergenceOptions {
  /** Tokens per window; 512 as llama-perplexity uses. */
  readonly contextSize?: number;
  /** Windows to evaluate; all of the text when absent. */
  readonly chunks?: number;
  /** Called at the start (with NaN) and after each window, with the mean divergence of all windows so far. */
  readonly onProgress?: (doneChunks: number, totalChunks: number, meanKld: number) => void;
  readonly signal?: AbortSignal;
}

export interface DivergenceResult extends DivergenceSummary {
  readonly contextSize: number;
  readonly chunks: number;
  readonly seconds: number;
}

/**
 * KL divergence of `model` from `reference` on the windows of llama-perplexity. Both models run side by side and are
 * compared in full precision over the whole vocabulary, so a model has a divergence of exactly 0 from itself.
 * Errors (usage): `vocabulary-mismatch`, `text-too-short`, `context-too-small`; `bad-logits` (bad-file) for a model
 * that computes infinities; kind `cancelled`.
 */
export async function evaluateDivergence(
  model: EvaluationModel,
  reference: EvaluationModel,
  text: string,
  options: DivergenceOptions = {},
): Promise<DivergenceResult> {
  const { contextSize = 512, chunks, signal } = options;
  checkVocabulary(model, reference.vocabSize);
  const ids = evaluationTokens(model, text, contextSize);
  const windows = textWindows(ids, contextSize, model.tokenizer.bosId, chunks);
  checkTokens(evaluationTokens(reference, text, contextSize), ids.slice(0, windows.length * contextSize));

  const vocab = model.vocabSize;
  return compareWindows(model, windows, options, (window) => {
    // Both cut the window into the same pieces, for their vocabularies are equally large.
    const pieces = scoredLogits(reference, window, signal);
    return async ({ first, rows, logits }) => {
      const expected = (await pieces.next()).value as ScoredLogits;
      return Array.from({ length: rows }, (_, i) =>
        compareLogits(row(expected.logits, i, vocab), row(logits, i, vocab), window.ids[first + i + 1]!),
      );
    };
  });
}

/**
 * As `evaluateDivergence`, against log-probabilities that `writeBaseFile` or `llama-perplexity
 * --kl-divergence-base` stored: they have 16 bits, and tokens less likely than e^-16 are left out, as llama-perplexity
 * does. The windows are those of the file; where a text is given it has to be the one that the file was made from.
 * Errors as there, and `base-mismatch` (usage), `bad-log-probs` (bad-file).
 */
export async function evaluateDivergenceFromBase(
  model: EvaluationModel,
  base: BaseFile,
  options: Omit<DivergenceOptions, 'contextSize'> & { readonly text?: string } = {},
): Promise<DivergenceResult> {
  const { contextSize, vocabSize } = base;
  checkVocabulary(model, vocabSize);
  checkWindowFits(model, contextSize);
  const tokens = Array.from(base.tokens);
  if (options.text !== undefined) {
    checkTokens(evaluationTokens(model, options.text, contextSize), tokens, base.path);
  }
  const windows = textWindows(tokens, contextSize, model.tokenizer.bosId, options.chunks);
  return compareWindows(model, windows, options, ({ ids, firstScored }, chunk) => {
    return async ({ first, rows, logits }) => {
      const stored = await base.readRows(chunk, first - firstScored, rows);
      return stored.map((expected, i) =>
        compareWithStored(expected, row(logits, i, vocabSize), ids[first + i + 1]!),
      );
    };
  });
}

/**
 * Evaluates `reference` on a text and stores its log-probabilities, `2 × vocabulary + 8` bytes for each scored token,
 * in the format of `llama-perplexity --kl-divergence-base`. Nothing is left at `path` when it fails.
 * Errors: `text-too-short`, `context-too-small`, `not-a-base-file` (usage), `disk-full`, kind `cancelled`.
 */
export async function writeBaseFile(
  path: string,
  reference: EvaluationModel,
  text: string,
  options: Omit<DivergenceOptions, 'onProgress'> & {
    readonly onProgress?: (doneChunks: number, totalChunks: number) => void;
  } = {},
): Promise<void> {
  const { contextSize = 512, onProgress, signal } = options;
  const ids = evaluationTokens(reference, text, contextSize);
  const windows = textWindows(ids, contextSize, reference.tokenizer.bosId, options.chunks);
  const shape = { contextSize, vocabSize: reference.vocabSize, chunks: windows.length };
  const writer = await BaseFileWriter.create(path, shape, ids.slice(0, windows.length * contextSize));
  try {
    onProgress?.(0, windows.length);
    for (const [done, window] of windows.entries()) {
      for await (const { logits } of scoredLogits(reference, window, signal)) await writer.append(logits);
      onProgress?.(done + 1, windows.length);
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await writer.commit();
}

/** What compares the pieces of one window, in order, with the reference. */
type Comparison = (
  window: TextWindow,
  chunk: number,
) => (piece: ScoredLogits) => Promise<readonly RowDivergence[]>;

async function compareWindows(
  model: EvaluationModel,
  windows: readonly TextWindow[],
  { onProgress, signal }: DivergenceOptions,
  comparison: Comparison,
): Promise<DivergenceResult> {
  const started = performance.now();
  const scored = windows.reduce((sum, { ids, firstScored }) => sum + ids.length - 1 - firstScored, 0);
  const statistics = new DivergenceStatistics(scored);
  onProgress?.(0, windows.length, statistics.meanKld);
  for (const [chunk, window] of windows.entries()) {
    const compare = comparison(window, chunk);
    for await (const piece of scoredLogits(model, window, signal)) {
      for (const row of await compare(piece)) {
        checkFinite(row, chunk);
        statistics.add(row);
      }
    }
    onProgress?.(chunk + 1, windows.length, statistics.meanKld);
  }
  return {
    ...statistics.summary(),
    contextSize: windows[0]!.ids.length,
    chunks: windows.length,
    seconds: (performance.now() - started) / 1000,
  };
}

function row(logits: Float32Array, index: number, vocabSize: number): Float32Array {
  return logits.subarray(index * vocabSize, (index + 1) * vocabSize);
}

function checkFinite({ kld, nll, referenceNll }: RowDivergence, chunk: number): void {
  if (Number.isFinite(kld + nll + referenceNll)) return;
  const at = `in window ${chunk}`;
  throw new CriaError(
    'bad-file',
    'bad-logits',
    Number.isFinite(referenceNll)
      ? `the model computed values that are not finite numbers ${at}: its weights are damaged`
      : `the reference computed values that are not finite numbers ${at}: its weights are damaged`,
  );
}

function checkVocabulary(model: EvaluationModel, expected: number): void {
  if (model.vocabSize === expected) return;
  throw new CriaError(
    'usage',
    'vocabulary-mismatch',
    `model and reference need the same vocabulary: expected ${expected} tokens, found ${model.vocabSize}`,
  );
}

/** Throws where `found` does not begin with `expected`. */
function checkTokens(found: readonly number[], expected: readonly number[], path?: string): void {
  const at = expected.findIndex((id, i) => id !== found[i]);
  if (at < 0) return;
  if (path === undefined) {
    throw new CriaError(
      'usage',
      'vocabulary-mismatch',
      `model and reference need the same vocabulary: token ${at} of the text is ${expected[at]} for the model and ` +
        `${found[at] ?? 'missing'} for the reference`,
    );
  }
  throw new CriaError(
    'usage',
    'base-mismatch',
    `'${path}' was made from another text: expected token ${expected[at]} at ${at}, found ${found[at] ?? 'the end'}`,
  );
}
