import { constants, copyFile, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { layoutSafetensors } from '../formats/safetensors/index.js';
import { TensorWriter } from '../formats/tensor-writer.js';
import { checkDiskSpace, checkEmptyFolder, throwIfCancelled } from './output-checks.js';
import type { StoredOutput, StoredPiece } from './to-stored-tensors.js';

export interface ExportOptions {
  /** Largest tensor data of one shard in bytes; 5 GB by default, as transformers has it. */
  readonly maxShardSize?: number;
  /** Called after each piece with the tensor bytes written so far and their total. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What a checkpoint folder is to hold. */
export interface CheckpointContent {
  readonly outputs: readonly StoredOutput[];
  /** JSON files by name, as values or as text. */
  readonly files: ReadonlyMap<string, object | string>;
  /** Files to copy as they are: name in the folder to path. */
  readonly copies?: ReadonlyMap<string, string>;
}

/**
 * Writes a checkpoint into `folder`, which must not exist or be empty; returns the paths of its files. On any failure
 * nothing is left. Throws `folder-not-empty`, `disk-full`, `cancelled`, and what the outputs throw.
 */
export async function writeCheckpoint(
  folder: string,
  { outputs, files, copies = new Map() }: CheckpointContent,
  options: ExportOptions = {},
): Promise<string[]> {
  await checkEmptyFolder(folder);
  const tensors = outputs.flatMap(({ infos }) => infos);
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  await checkDiskSpace(resolve(folder), total);
  const partial = await mkdtemp(`${resolve(folder)}.partial-`).catch((error) => {
    throw fileError(error, 'write', folder);
  });
  try {
    const layout = layoutSafetensors(join(partial, 'model.safetensors'), {
      metadata: new Map([['format', 'pt']]),
      tensors,
      maxShardSize: options.maxShardSize ?? 5e9,
    });
    await writeWeights(await TensorWriter.create(layout), outputs, total, options);
    for (const [name, content] of files) {
      const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2);
      await writeFileAtomic(join(partial, name), `${text}\n`);
    }
    for (const [name, path] of copies) {
      await copyFile(path, join(partial, name), constants.COPYFILE_FICLONE).catch((error) => {
        throw fileError(error, 'write', join(folder, name));
      });
    }
    await rename(partial, folder).catch((error) => {
      throw fileError(error, 'write', folder);
    });
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

async function writeWeights(
  writer: TensorWriter,
  outputs: readonly StoredOutput[],
  total: number,
  { onProgress, signal }: ExportOptions,
): Promise<void> {
  let done = 0;
  try {
    for (const output of outputs) {
      for await (const { name, offset, bytes } of namingTensor(output)) {
        throwIfCancelled(signal);
        await writer.writeAt(name, offset, bytes);
        done += bytes.length;
        onProgress?.(done, total);
      }
    }
    throwIfCancelled(signal);
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await writer.commit();
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
