import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import {
  fitEntry,
  type Imatrix,
  type ImatrixFormat,
  mergeImatrices,
  readImatrix,
  writeImatrix,
} from '../formats/imatrix/index.js';
import { type CalibrateOptions, type CalibrationText, calibrate, removeState } from './calibrate.js';
import type { TextReach } from './coverage.js';

export interface CalibrateToFileOptions extends Omit<CalibrateOptions, 'state'> {
  readonly format?: ImatrixFormat;
  /** Importance matrices of the same model that are added to the result. */
  readonly merge?: readonly string[];
  /** Identifies the model's weights; a state left by another model is not continued. */
  readonly modelIdentity: string;
}

export interface CalibrationResult {
  /** What was written. */
  readonly imatrix: Imatrix;
  /** Windows evaluated for it, earlier matrices not counted. */
  readonly chunks: number;
  readonly texts: readonly TextReach[];
}

/** Where the state of an unfinished calibration is kept. */
export function statePath(output: string): string {
  return `${output}.unfinished`;
}

/**
 * Calibrates and writes an importance matrix. When it is stopped or killed, the same call goes on where it was, and
 * its file has the same bytes as if nothing had happened. Throws what `calibrate`, `readImatrix` and AtomicFile
 * throw, and `imatrix-mismatch` for one of another model, before any work.
 */
export async function calibrateToFile(
  model: Parameters<typeof calibrate>[0],
  texts: readonly CalibrationText[],
  output: string,
  options: CalibrateToFileOptions,
): Promise<CalibrationResult> {
  await checkFolder(output);
  const earlier = await Promise.all((options.merge ?? []).map(readImatrix));
  for (const [i, imatrix] of earlier.entries()) checkFit(options.merge![i]!, imatrix, model);
  const path = statePath(output);
  const totals = await calibrate(model, texts, { ...options, state: { path, model: options.modelIdentity } });
  const datasetHashes = new Map(
    texts.flatMap(({ name, sha256 }) => (sha256 ? [[name, sha256] as const] : [])),
  );
  const measured = { ...totals.toImatrix(options.contextSize ?? 512), datasetHashes };
  const imatrix = mergeImatrices([...earlier, measured]);
  await writeImatrix(output, imatrix, options.format);
  await removeState(path);
  return {
    imatrix,
    chunks: totals.chunks,
    texts: texts.map(({ name }, text) => ({ name, counts: totals.countsOfText(text) })),
  };
}

/** Hours of work are not to end in a file that cannot be written. */
async function checkFolder(output: string): Promise<void> {
  try {
    await access(dirname(output), constants.W_OK);
  } catch (error) {
    throw fileError(error, 'write', output);
  }
}

function checkFit(path: string, imatrix: Imatrix, model: Parameters<typeof calibrate>[0]): void {
  let known = 0;
  for (const [name, { sums, counts }] of model.collected()) {
    const entry = imatrix.entries.get(name);
    if (!entry) continue;
    fitEntry(name, entry, sums.length / counts.length, counts.length);
    known++;
  }
  if (known === 0) {
    const found = `found ${imatrix.entries.size} entries, none for the model's tensors`;
    throw new CriaError('bad-file', 'imatrix-mismatch', `'${path}': expected data of this model, ${found}`);
  }
}
