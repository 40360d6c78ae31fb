import { CriaError } from '../base/errors.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { checkTensorShapes, textTensorShapes } from './expected-tensors.js';
import { configFromMetadata, type Llama4Config } from './llama4-config.js';
import { ropeScalingOfDivisors } from './rope-scaling.js';
import { huggingFaceFiles } from './to-huggingface-config.js';
import { planStoredTensors } from './to-stored-tensors.js';
import { tokenizerFiles } from './to-tokenizer-files.js';
import { type ExportOptions, writeCheckpoint } from './write-checkpoint.js';

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
  const files = await checkpointFiles(source);
  return writeCheckpoint(folder, { outputs: planStoredTensors(source), files }, options);
}

/**
 * `config.json` and the other files beside the weights of a text-only checkpoint, as JSON by name, from what a GGUF
 * file holds. Throws `unknown-scaling` and what `configFromMetadata` and `checkTensorShapes` throw.
 */
export async function checkpointFiles(source: TensorSource): Promise<Map<string, object>> {
  const config = await withRopeScaling(
    source,
    configFromMetadata(source.metadata, source.tensors, source.path),
  );
  const tied = !source.tensors.has('output.weight');
  checkTensorShapes(source.tensors, textTensorShapes(config), new Set(['output.weight']), source.path);
  const dtype = { F32: 'float32', F16: 'float16' }[source.tensors.get('token_embd.weight')!.type as string];
  const details = { dtype: dtype ?? 'bfloat16', tied, where: source.path };
  const { config: json, generation } = huggingFaceFiles(source.metadata, config, details);
  const { tokenizer, tokenizerConfig } = tokenizerFiles(source.metadata, config.contextLength, source.path);
  return new Map<string, object>([
    ['config.json', json],
    ['generation_config.json', generation],
    ['tokenizer.json', tokenizer],
    ['tokenizer_config.json', tokenizerConfig],
  ]);
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
