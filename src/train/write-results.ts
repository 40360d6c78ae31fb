import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../base/atomic-file.js';
import { fileError } from '../base/file-errors.js';
import { exportModel } from '../convert/export/export-model.js';
import { openExportSource } from '../convert/export/export-source.js';
import type { LoraAdapter } from '../convert/lora/adapter.js';
import { writeGgufAdapter } from '../convert/lora/gguf-adapter.js';
import { writePeftAdapter } from '../convert/lora/write-peft.js';
import type { TensorSource } from '../formats/tensor-source.js';

/** Files that make the others visible, and so come last. */
const LAST = ['model.safetensors.index.json', 'adapter_config.json', 'config.json'];

/** Puts an adapter into `folder`, as PEFT has it and as `adapter.gguf`; returns the paths. */
export async function writeAdapterResults(folder: string, adapter: LoraAdapter): Promise<string[]> {
  const paths = await intoFolder(folder, (partial) => writePeftAdapter(partial, adapter));
  const gguf = join(folder, 'adapter.gguf');
  await writeGgufAdapter(gguf, adapter);
  return [...paths, gguf];
}

/**
 * Puts a whole model into `folder` as a checkpoint of the Hugging Face kind: weights of `trained`, everything else
 * (vision tower, tokenizer, configuration) of the model at `base`. Returns the paths.
 */
export async function writeModelResults(
  folder: string,
  base: string,
  trained: TensorSource,
  signal?: AbortSignal,
): Promise<string[]> {
  const model = await openExportSource(base);
  try {
    return await intoFolder(folder, (partial) =>
      exportModel({ ...model, source: trained }, partial, {
        format: { kind: 'safetensors' },
        experts: 'fused',
        signal,
      }),
    );
  } finally {
    await model.close();
  }
}

/** The folder has the log and the checkpoints already, so that what is written beside it moves in file by file. */
async function intoFolder(folder: string, write: (partial: string) => Promise<unknown>): Promise<string[]> {
  const partial = join(folder, '.results.partial');
  try {
    await rm(partial, { recursive: true, force: true });
    await write(partial);
    const names = (await readdir(partial)).sort(
      (a, b) => LAST.indexOf(a) - LAST.indexOf(b) || (a < b ? -1 : 1),
    );
    for (const name of names) await rename(join(partial, name), join(folder, name));
    await syncFolder(folder);
    return names.map((name) => join(folder, name));
  } catch (error) {
    throw fileError(error, 'write', folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
