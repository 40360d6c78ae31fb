import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import type { CollectingModel } from '../model/collecting-model.js';
import { tokenWindows } from '../model/token-windows.js';
import { readState, writeState } from './calibration-state.js';
import { CalibrationTotals } from './calibration-totals.js';

/** A text to calibrate on, as tokens. */
export interface CalibrationText {
  /** Recorded in the result, as llama-imatrix records the path. */
  readonly name: string;
  /** Of its content (hex), to be recorded too. */
  readonly sha256?: string;
  /** BOS included, once per document. */
  readonly ids: readonly number[];
}

export interface CalibrateOptions {
  /** Tokens per window; 512 as llama-imatrix uses. */
  readonly contextSize?: number;
  /** Windows to evaluate at most; all of the texts when absent. */
  readonly chunks?: number;
  /** Where to keep the work done so far, so that the same call goes on after it was stopped; removed by nobody. */
  readonly state?: {
    readonly path: string;
    /** Identifies the model's weights. */
    readonly model: string;
  };
  /** Called at the start (with the windows that a saved state spares) and after each window. */
  readonly onProgress?: (doneChunks: number, totalChunks: number) => void;
  readonly signal?: AbortSignal;
}

/** Windows between saves of the state: llama-imatrix's own default. */
const SAVE_EVERY = 10;

/**
 * Measures the inputs of every weight matrix over the windows of llama-imatrix (see `tokenWindows`), cut from the
 * texts one after another; every position counts. The model must have been loaded with `collect`.
 *
 * Errors: (usage) `context-too-small`, `text-too-short`, `no-text`; (bad-file) `not-finite`; kind `cancelled`.
 */
export async function calibrate(
  model: CollectingModel & { readonly tokenizer: { readonly bosId: number | undefined } },
  texts: readonly CalibrationText[],
  options: CalibrateOptions = {},
): Promise<CalibrationTotals> {
  const { contextSize = 512, state, onProgress, signal } = options;
  if (contextSize > model.contextSize) {
    throw new CriaError(
      'usage',
      'context-too-small',
      `windows of ${contextSize} tokens need a context at least as long, found ${model.contextSize}`,
    );
  }
  const ids = texts.flatMap((text) => text.ids);
  const windows = tokenWindows(ids, contextSize, model.tokenizer.bosId, options.chunks);
  const textAt = textFinder(texts);

  const totals = new CalibrationTotals(
    model.collected(),
    texts.map(({ name }) => name),
  );
  const workOf = (chunks: number) =>
    chunks <= windows.length ? workHash(state?.model ?? '', windows.slice(0, chunks)) : undefined;
  if (state) await readState(state.path, workOf, totals);
  let saved = totals.chunks;
  const save = async () => {
    if (!state || saved === totals.chunks) return;
    await writeState(state.path, workOf(totals.chunks)!, totals);
    saved = totals.chunks;
  };

  try {
    onProgress?.(totals.chunks, windows.length);
    for (let i = totals.chunks; i < windows.length; i++) {
      model.resetCollected();
      await model.evaluate(windows[i]!, 0, 'none', signal);
      totals.add(model.collected(), textAt(i * contextSize));
      if (totals.chunks % SAVE_EVERY === 0) await save();
      onProgress?.(totals.chunks, windows.length);
    }
  } catch (error) {
    // Whatever stopped the work, what was done stays done; a failure to save must not hide the reason.
    await save().catch(() => {});
    throw error;
  }
  await save();
  return totals;
}

/** Removes the state that `calibrate` kept, once its result is safe. */
export async function removeState(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** Gives for each position the number of the text that its token is from. */
function textFinder(texts: readonly CalibrationText[]): (position: number) => number {
  const ends: number[] = [];
  for (const { ids } of texts) ends.push((ends.at(-1) ?? 0) + ids.length);
  return (position) => ends.findIndex((end) => position < end);
}

/** Identifies what the totals of some windows depend on. */
function workHash(model: string, windows: readonly (readonly number[])[]): string {
  const hash = createHash('sha256').update(`${model}\n${windows[0]?.length}\n`);
  for (const window of windows) hash.update(Int32Array.from(window));
  return hash.digest('hex');
}
