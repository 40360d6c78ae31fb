import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { layoutSafetensors } from '../formats/safetensors/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { TensorWriter } from '../formats/tensor-writer.js';
import { checkTensorShapes, textTensorShapes } from './expected-tensors.js';
import { configFromMetadata, type Llama4Config } from './llama4-config.js';
import { checkDiskSpace, checkEmptyFolder, throwIfCancelled } from './output-checks.js';
import { ropeScalingOfDivisors } from './rope-scaling.js';
import { huggingFaceFiles } from './to-huggingface-config.js';
import { planStoredTensors } from './to-stored-tensors.js';
import { tokenizerFiles } from './to-tokenizer-files.js';

export interface ExportOptions {
  /** Largest tensor data of one shard in bytes; 5 GB by default, as transformers has it. */
  readonly maxShardSize?: number;
  /** Called after each piece with the tensor bytes written so far and their total. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes a Llama 4 GGUF model of 16-bit or 32-bit floats as a text-only Hugging Face checkpoint into `folder`, which
 * must not exist or be empty; returns the paths of its files. Converting the result gives the same tensors again.
 * On any failure nothing is left. Throws `quantized-input` and `unknown-scaling` for what a checkpoint cannot say,
 * `folder-not-empty`, `disk-full`, `cancelled`, and what `configFromMetadata` and `checkTensorShapes` throw.
 */
export async function exportCheckpoint(
  source: TensorSource,
  folder: string,
  options: ExportOptions = {},
): Promise<string[]> {
  const config = await withRopeScaling(
    source,
    configFromMetadata(source.metadata, source.tensors, source.path),
  );
  const tied = !source.tensors.has('output.weight');
  checkTensorShapes(source.tensors, textTensorShapes(config), new Set(['output.weight']), source.path);
  const planned = planStoredTensors(source);
  const dtype = { F32: 'float32', F16: 'float16' }[source.tensors.get('token_embd.weight')!.type as string];
  const details = { dtype: dtype ?? 'bfloat16', tied, where: source.path };
  const { config: json, generation } = huggingFaceFiles(source.metadata, config, details);
  const { tokenizer, tokenizerConfig } = tokenizerFiles(source.metadata, config.contextLength, source.path);
  const files = new Map<string, object>([
    ['config.json', json],
    ['generation_config.json', generation],
    ['tokenizer.json', tokenizer],
    ['tokenizer_config.json', tokenizerConfig],
  ]);

  await checkEmptyFolder(folder);
  const total = planned.reduce((sum, { info }) => sum + info.bytes, 0);
  await checkDiskSpace(resolve(folder), total);
  const partial = await mkdtemp(`${resolve(folder)}.partial-`).catch((error) => {
    throw fileError(error, 'write', folder);
  });
  try {
    const layout = layoutSafetensors(join(partial, 'model.safetensors'), {
      metadata: new Map([['format', 'pt']]),
      tensors: planned.map(({ info }) => info),
      maxShardSize: options.maxShardSize ?? 5e9,
    });
    await writeWeights(await TensorWriter.create(layout), planned, total, options);
    for (const [name, content] of files) {
      await writeFileAtomic(join(partial, name), `${JSON.stringify(content, null, 2)}\n`);
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
  planned: ReturnType<typeof planStoredTensors>,
  total: number,
  { onProgress, signal }: ExportOptions,
): Promise<void> {
  let done = 0;
  try {
    for (const { info, pieces } of planned) {
      let offset = 0;
      for await (const piece of pieces()) {
        throwIfCancelled(signal);
        await writer.writeAt(info.name, offset, piece);
        offset += piece.length;
        done += piece.length;
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

/** Files that Cria did not write hold the divisors only; a checkpoint names the settings behind them. */
async function withRopeScaling(source: TensorSource, config: Llama4Config): Promise<Llama4Config> {
  const info = source.tensors.get('rope_freqs.weight');
  if (!info || config.ropeScaling) return config;
  const count = info.shape.length === 1 && info.type === 'F32' ? info.shape[0]! : 0;
  const divisors = new Float32Array(count === config.headDim / 2 ? count : 0);
  if (divisors.length > 0) await source.readRows(info.name, 0, 1, new Uint8Array(divisors.buffer));
  const ropeScaling = ropeScalingOfDivisors(config, divisors);
  if (!ropeScaling) {
    const message = `'${source.path}': expected rope_freqs.weight to follow from a published RoPE scaling of Llama 4, it does not`;
    throw new CriaError('unsupported', 'unknown-scaling', message);
  }
  return { ...config, ropeScaling };
}
