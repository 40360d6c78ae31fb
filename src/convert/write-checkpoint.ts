import { createHash } from 'node:crypto';
import { constants, copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { ResumeJournal } from '../base/resume-journal.js';
import { layoutSafetensors } from '../formats/safetensors/index.js';
import { type FileLayout, TensorWriter } from '../formats/tensor-writer.js';
import { checkDiskSpace, checkEmptyFolder, throwIfCancelled } from './output-checks.js';
import type { StoredOutput, StoredPiece } from './to-stored-tensors.js';

export interface ExportOptions {
  /** Largest tensor data of one shard in bytes; 5 GB by default, as transformers has it. */
  readonly maxShardSize?: number;
  /** Called after each piece with the tensor bytes written so far and their total. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Stands for all that decides the bytes. With it, writing that is stopped, killed or finds the disk full leaves
   * `FOLDER.partial` and `FOLDER.partial.json`, and the same call goes on from there.
   */
  readonly resumeKey?: string;
}

/** What a checkpoint folder is to hold. */
export interface CheckpointContent {
  readonly outputs: readonly StoredOutput[];
  /** JSON files by name, as values or as text. */
  readonly files: ReadonlyMap<string, object | string>;
  /** Files to copy as they are: name in the folder to path. */
  readonly copies?: ReadonlyMap<string, string>;
}

/** Time between two notes of how far the work has come. */
const JOURNAL_MS = 5000;

/**
 * Writes a checkpoint into `folder`, which must not exist or be empty; returns the paths of its files. On any failure
 * nothing is left, but for `ExportOptions.resumeKey`. Throws `folder-not-empty`, `disk-full`, `cancelled`, and what
 * the outputs throw.
 */
export async function writeCheckpoint(
  folder: string,
  { outputs, files, copies = new Map() }: CheckpointContent,
  options: ExportOptions = {},
): Promise<string[]> {
  await checkEmptyFolder(folder);
  const { resumeKey, maxShardSize = 5e9 } = options;
  const path = resolve(folder);
  const partial = resumeKey === undefined ? `${path}.partial-${process.pid}` : `${path}.partial`;
  const layout = layoutSafetensors(join(partial, 'model.safetensors'), {
    metadata: new Map([['format', 'pt']]),
    tensors: outputs.flatMap(({ infos }) => infos),
    maxShardSize,
  });
  const journal =
    resumeKey === undefined ? undefined : new ResumeJournal(path, fingerprint(resumeKey, layout));
  try {
    await writeWeights(partial, layout, outputs, journal, options);
    for (const [name, content] of files) {
      const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
      await writeFileAtomic(join(partial, name), `${text}\n`);
    }
    for (const [name, from] of copies) {
      await copyFile(from, join(partial, name), constants.COPYFILE_FICLONE).catch((error) => {
        throw fileError(error, 'write', join(folder, name));
      });
    }
    await rename(partial, folder).catch((error) => {
      throw fileError(error, 'write', folder);
    });
  } catch (error) {
    if (!journal || !canGoOn(error)) {
      await rm(partial, { recursive: true, force: true });
      await journal?.remove();
    }
    throw error;
  }
  await journal?.remove();
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

/** Whether the same work may succeed later: it was stopped, or the disk is full. */
function canGoOn(error: unknown): boolean {
  return error instanceof CriaError && (error.kind === 'cancelled' || error.kind === 'resources');
}

async function writeWeights(
  partial: string,
  layout: readonly FileLayout[],
  outputs: readonly StoredOutput[],
  journal: ResumeJournal | undefined,
  { onProgress, signal }: ExportOptions,
): Promise<void> {
  const { writer, first } = await startOrResume(partial, layout, outputs, journal);
  const bytesOf = (some: readonly StoredOutput[]) =>
    some.flatMap(({ infos }) => infos).reduce((sum, { bytes }) => sum + bytes, 0);
  const total = bytesOf(outputs);
  let bytes = bytesOf(outputs.slice(0, first));
  let done = first;
  const save = async () => {
    const durable = done;
    await writer.sync();
    await journal?.write(durable);
  };
  let saved = performance.now();
  try {
    for (const output of outputs.slice(first)) {
      for await (const piece of namingTensor(output)) {
        throwIfCancelled(signal);
        await writer.writeAt(piece.name, piece.offset, piece.bytes);
        bytes += piece.bytes.length;
        onProgress?.(bytes, total);
      }
      done++;
      if (!journal || performance.now() - saved < JOURNAL_MS) continue;
      saved = performance.now();
      await save();
    }
    throwIfCancelled(signal);
  } catch (error) {
    if (journal && canGoOn(error)) {
      // A full disk may refuse this too; then the journal of a few seconds ago stands.
      await save().catch(() => {});
      await writer.suspend();
    } else {
      await writer.discard();
    }
    throw error;
  }
  await writer.commit();
}

/** A writer into the folder `partial`, and how many outputs are there already. */
async function startOrResume(
  partial: string,
  layout: readonly FileLayout[],
  outputs: readonly StoredOutput[],
  journal: ResumeJournal | undefined,
): Promise<{ writer: TensorWriter; first: number }> {
  const first = journal ? Math.min(await journal.read(), outputs.length) : 0;
  if (first > 0) {
    const written = outputs.slice(0, first).flatMap(({ infos }) => infos);
    const writer = await TensorWriter.resume(
      layout,
      new Map(written.map(({ name, bytes }) => [name, bytes])),
    );
    if (writer !== undefined) return { writer, first };
  }
  await rm(partial, { recursive: true, force: true });
  const total = layout.reduce((sum, { bytes }) => sum + bytes, 0);
  await checkDiskSpace(partial, total);
  await mkdir(partial).catch((error) => {
    throw fileError(error, 'write', partial);
  });
  return { writer: await TensorWriter.create(layout), first: 0 };
}

function fingerprint(key: string, layout: readonly FileLayout[]): string {
  const hash = createHash('sha256').update(`${key}\n`);
  for (const { path, header, bytes } of layout) hash.update(`${path}\0${bytes}\n`).update(header);
  return hash.digest('hex');
}

/** The pieces of an output; weights that are no numbers are refused with the name of their tensor. */
async function* namingTensor({ infos, pieces }: StoredOutput): AsyncGenerator<StoredPiece> {
  try {
    yield* pieces();
  } catch (error) {
    if (!(error instanceof CriaError) || error.code !== 'non-finite-weights') throw error;
    throw new CriaError(error.kind, error.code, `${infos[0]!.name}: ${error.message}`, { cause: error });
  }
}
