import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { CriaError } from '../base/errors.js';
import { ResumeJournal } from '../base/resume-journal.js';
import { checkDiskSpace, checkNotAFolder } from '../convert/output-checks.js';
import { rowBytes } from '../formats/ggml-types.js';
import { layoutGguf } from '../formats/gguf/index.js';
import type { Imatrix, ImatrixEntry } from '../formats/imatrix/index.js';
import {
  type Metadata,
  type MetadataValue,
  rowCount,
  type TensorInfo,
  type TensorSource,
} from '../formats/tensor-source.js';
import { type FileLayout, TensorWriter } from '../formats/tensor-writer.js';
import { blockFormat } from '../quant/index.js';
import { entriesOfModel } from './imatrix-of-model.js';
import { filesIdentity, inputFiles, refuseOverwriting } from './input-files.js';
import { cutIntoPieces, PIECE_WEIGHTS, type Piece, targetBytes, targetOffset } from './pieces.js';
import { recodePieces } from './recode-pieces.js';

import type { TypePlan } from './type-plan.js';

export interface QuantizeOptions {
  readonly plan: TypePlan;
  /** `general.file_type` of the output, llama.cpp's number for the mix. */
  readonly fileType: number;
  readonly imatrix?: Imatrix;
  /** Encoding threads; one per processor core by default. The output does not depend on it. */
  readonly threads?: number;
  /** Added to the metadata of the source; a key that is there is replaced. */
  readonly metadata?: Metadata;
  /** Largest tensor data of one file in bytes; the model is split when it has more. */
  readonly splitMaxSize?: number;
  /** Number of tensors in each file, to keep the division of a split source. */
  readonly tensorsPerFile?: readonly number[];
  /** Called after each piece with the output bytes done so far, those of an earlier attempt included. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** How often what is done is made durable, so that a killed run loses little. */
const JOURNAL_MS = 5000;

/**
 * Quantizes a model into a GGUF file, or parts of one, and returns the paths written. Memory is bounded by a few
 * pieces of a tensor per thread. The same inputs give the same bytes.
 *
 * When it is stopped (`cancelled`), killed or the disk fills (`disk-full`), the unfinished files stay, and the same
 * call goes on from there; any other failure leaves nothing. Throws before any work `no-encoder`,
 * `imatrix-mismatch`, `same-file`, `not-a-file`, `disk-full`, what `layoutGguf` throws; then `non-finite-weights`
 * and what the source throws.
 */
export async function quantizeModel(
  source: TensorSource,
  out: string,
  options: QuantizeOptions,
): Promise<string[]> {
  const { plan, imatrix, threads = availableParallelism() } = options;
  const tensors = [...source.tensors.values()];
  checkEncoders(plan);
  const importance = imatrix && entriesOfModel(imatrix, tensors);
  const layout = layoutOutput(source, out, options);
  const inputs = await inputFiles(source);
  await checkOutputs(inputs, layout);

  const pieces = cutIntoPieces(tensors, plan);
  const journal = new ResumeJournal(out, await fingerprint(inputs, layout, importance));
  const { writer, first } = await startOrResume(layout, pieces, journal);
  let done = first;
  const save = async () => {
    const durable = done;
    await writer.sync();
    await journal.write(durable);
  };
  try {
    const total = pieces.reduce((sum, piece) => sum + targetBytes(piece), 0);
    let bytes = pieces.slice(0, first).reduce((sum, piece) => sum + targetBytes(piece), 0);
    let saved = performance.now();
    options.onProgress?.(bytes, total);
    await recodePieces(source, pieces, {
      first,
      threads,
      importance,
      signal: options.signal,
      write: (piece, target) => writer.writeAt(piece.name, targetOffset(piece), target),
      onPieces: async (count) => {
        for (const piece of pieces.slice(done, count)) bytes += targetBytes(piece);
        done = count;
        options.onProgress?.(bytes, total);
        if (performance.now() - saved < JOURNAL_MS) return;
        saved = performance.now();
        await save();
      },
    });
    await writer.sync();
  } catch (error) {
    if (error instanceof CriaError && (error.kind === 'cancelled' || error.kind === 'resources')) {
      // A full disk may refuse this too; then the journal of a few seconds ago stands.
      await save().catch(() => {});
      await writer.suspend();
    } else {
      await writer.discard();
      await journal.remove();
    }
    throw error;
  }
  await writer.commit();
  await journal.remove();
  return layout.map(({ path }) => path);
}

/** Metadata and tensors of the output, in the order of the source. */
export function layoutOutput(
  source: Pick<TensorSource, 'metadata' | 'tensors'>,
  out: string,
  options: Pick<QuantizeOptions, 'plan' | 'fileType' | 'metadata' | 'splitMaxSize' | 'tensorsPerFile'>,
): FileLayout[] {
  const metadata = new Map<string, MetadataValue>([
    ...source.metadata,
    ['general.file_type', { type: 'uint32', value: options.fileType }],
    ['general.quantization_version', { type: 'uint32', value: 2 }],
    ...(options.metadata ?? []),
  ]);
  const tensors = [...source.tensors.values()].map((info) => withType(info, options.plan));
  const { splitMaxSize, tensorsPerFile } = options;
  return layoutGguf(out, { metadata, tensors, splitMaxSize, tensorsPerFile });
}

function withType({ name, type: stored, shape }: TensorInfo, plan: TypePlan): TensorInfo {
  const type = plan.get(name) ?? stored;
  return { name, type, shape, bytes: rowCount(shape) * rowBytes(type, shape[0]!) };
}

function checkEncoders(plan: TypePlan): void {
  for (const type of new Set(plan.values())) {
    if (blockFormat(type).encode === undefined) {
      throw new CriaError('unsupported', 'no-encoder', `there is no encoder for tensor type ${type}`);
    }
  }
}

async function checkOutputs(inputs: readonly string[], layout: readonly FileLayout[]): Promise<void> {
  const outputs = layout.map(({ path }) => path);
  for (const path of outputs) await checkNotAFolder(path);
  await refuseOverwriting(inputs, outputs);
  let bytes = layout.reduce((sum, part) => sum + part.bytes, 0);
  for (const path of outputs) {
    // What an earlier attempt wrote is there already, in blocks of 512 bytes; the rest of its file is a hole.
    const stats = await stat(`${path}.partial`).catch(() => undefined);
    bytes -= (stats?.blocks ?? 0) * 512;
  }
  await checkDiskSpace(outputs[0]!, bytes);
}

async function startOrResume(
  layout: readonly FileLayout[],
  pieces: readonly Piece[],
  journal: ResumeJournal,
): Promise<{ writer: TensorWriter; first: number }> {
  const first = Math.min(await journal.read(), pieces.length);
  if (first > 0) {
    const written = new Map<string, number>();
    for (const piece of pieces.slice(0, first)) {
      written.set(piece.name, targetOffset(piece) + targetBytes(piece));
    }
    const writer = await TensorWriter.resume(layout, written);
    if (writer !== undefined) return { writer, first };
  }
  return { writer: await TensorWriter.create(layout), first: 0 };
}

/** Of everything that decides the bytes of the output, the version of the encoders included. */
async function fingerprint(
  inputs: readonly string[],
  layout: readonly FileLayout[],
  importance: ReadonlyMap<string, ImatrixEntry> | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  hash.update(`${version}\n${PIECE_WEIGHTS}\n${await filesIdentity(inputs)}\n`);
  for (const { path, header, bytes } of layout) hash.update(`${path}\0${bytes}\n`).update(header);
  for (const [name, { sums, counts }] of importance ?? []) {
    hash.update(`${name}\n`).update(sums).update(Float64Array.from(counts));
  }
  return hash.digest('hex');
}
