import { CriaError } from '../base/errors.js';
import type { Metadata, TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { readCheckpointConfig, readCheckpointJson, readCheckpointText } from './checkpoint-files.js';
import { textTensorShapes, visionTensorShapes } from './expected-tensors.js';
import { FieldReader } from './field-reader.js';
import { configFromHuggingFace } from './llama4-config.js';
import { type ConvertType, textMetadata, visionMetadata } from './metadata.js';
import { canonicalName } from './names.js';
import { ropeDivisors } from './rope-scaling.js';
import { RowReader } from './row-reader.js';
import { type StoredWeight, StoredWeights } from './stored/stored-weights.js';
import { type PlannedTensor, planTensors, tensorInfo } from './tensor-plan.js';
import { visionConfigFromHuggingFace } from './vision-config.js';
import { vocabularyMetadata } from './vocabulary.js';

export interface CheckpointOptions {
  /**
   * Type of the large tensors; `auto` (the default) keeps that of the checkpoint, and gives F16 to weights in 8 bits,
   * whose products with their scales BF16 would round more than they have been.
   */
  readonly type?: ConvertType | 'auto';
}

/**
 * A Hugging Face Llama 4 folder as llama.cpp's converter would write it: GGUF names, metadata, types, order of
 * tensors. Nothing is read but headers until rows are asked for. Weights in fewer bits (bitsandbytes, FP8) are seen as
 * the floats they stand for.
 * Throws `no-checkpoint`, `unsupported-architecture`, `unsupported-config`, `bad-config`, `no-tokenizer`,
 * `unsupported-tokenizer`, and what `planTensors` and `StoredWeights.open` throw.
 */
export async function openCheckpoint(folder: string, options: CheckpointOptions = {}): Promise<TensorSource> {
  const json = await readCheckpointConfig(folder);
  const config = configFromHuggingFace(json, `${folder}/config.json`);
  const vocabulary = await readVocabulary(folder, json, config.vocabSize);
  const generation = await readCheckpointJson(folder, 'generation_config.json');
  const file = await StoredWeights.open(folder);
  try {
    const stored = inConverterOrder(file);
    const type = resolveType(stored, options.type, 'lm_head.weight', 'model.embed_tokens.weight');
    const planned = planTensors({
      folder,
      stored,
      part: 'text',
      expected: textTensorShapes(config),
      optional: new Set(sharesEmbeddings(json) ? ['output.weight'] : []),
      type,
      scaledType: scaledType(options, type),
    });
    const tensors = new Map<string, PlannedTensor>();
    if (config.ropeScaling) {
      const values = ropeDivisors(config, config.ropeScaling);
      const info = tensorInfo('rope_freqs.weight', [values.length], 'F32');
      tensors.set(info.name, { info, layout: { kind: 'values', values } });
    }
    for (const [name, tensor] of planned) tensors.set(name, tensor);
    const general = { folder, type, generation, tensors: infosOf(tensors).values() };
    const metadata = new Map([...textMetadata(general, config), ...vocabulary]);
    return new CheckpointSource(folder, metadata, tensors, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The vision part of a multimodal folder as an `mmproj` file, `ln2` under its right name. Throws `no-vision` for a
 * text-only checkpoint, otherwise like `openCheckpoint`.
 */
export async function openVisionCheckpoint(
  folder: string,
  options: CheckpointOptions = {},
): Promise<TensorSource> {
  const json = await readCheckpointConfig(folder);
  const where = `${folder}/config.json`;
  const { embeddingLength } = configFromHuggingFace(json, where);
  const config = visionConfigFromHuggingFace(json, embeddingLength, where);
  if (!config) {
    const message = `${where}: expected a vision_config, found a text-only checkpoint`;
    throw new CriaError('unsupported', 'no-vision', message);
  }
  const generation = await readCheckpointJson(folder, 'generation_config.json');
  const preprocessor = await readCheckpointJson(folder, 'preprocessor_config.json');
  const file = await StoredWeights.open(folder);
  try {
    const stored = inConverterOrder(file);
    const type = resolveType(stored, options.type, 'multi_modal_projector.linear_1.weight');
    const expected = visionTensorShapes(config);
    const planned = planTensors({
      folder,
      stored,
      part: 'vision',
      expected,
      optional: new Set(),
      type,
      scaledType: scaledType(options, type),
    });
    const general = { folder, type, generation, tensors: infosOf(planned).values() };
    return new CheckpointSource(folder, visionMetadata(general, config, preprocessor), planned, file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

class CheckpointSource implements TensorSource {
  readonly path: string;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #planned: ReadonlyMap<string, PlannedTensor>;
  readonly #file: StoredWeights;
  readonly #rows: RowReader;

  constructor(
    path: string,
    metadata: Metadata,
    planned: ReadonlyMap<string, PlannedTensor>,
    file: StoredWeights,
  ) {
    this.path = path;
    this.metadata = metadata;
    this.tensors = infosOf(planned);
    this.#planned = planned;
    this.#file = file;
    this.#rows = new RowReader((name, offset, target) => file.read(name, offset, target));
  }

  async readRows(name: string, start: number, count: number, target: Uint8Array): Promise<void> {
    const tensor = this.#planned.get(name);
    if (!tensor) throw new CriaError('internal', 'no-such-tensor', `${this.path} has no tensor ${name}`);
    await this.#rows.readRows(tensor, start, count, target);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** File by file and by name, the order in which llama.cpp's converter goes through a checkpoint. */
function inConverterOrder(file: StoredWeights): Map<string, StoredWeight> {
  return new Map([...file.tensors].sort(([a, x], [b, y]) => x.part - y.part || (a < b ? -1 : 1)));
}

async function readVocabulary(folder: string, config: unknown, vocabSize: number) {
  const tokenizer = await readCheckpointJson(folder, 'tokenizer.json');
  if (tokenizer === undefined) {
    const message = `${folder}: expected a tokenizer.json beside the config.json, found none`;
    throw new CriaError('not-found', 'no-tokenizer', message);
  }
  const tokenizerConfig = await readCheckpointJson(folder, 'tokenizer_config.json');
  const chatTemplate =
    (await readCheckpointText(folder, 'chat_template.jinja')) ?? (await templateFromJson(folder));
  return vocabularyMetadata({ folder, tokenizer, tokenizerConfig, config, chatTemplate }, vocabSize);
}

async function templateFromJson(folder: string): Promise<string | undefined> {
  const json = await readCheckpointJson(folder, 'chat_template.json');
  const where = `${folder}/chat_template.json`;
  return json === undefined ? undefined : FieldReader.ofObject(where, json).text('chat_template');
}

function sharesEmbeddings(json: unknown): boolean {
  const config = json as { tie_word_embeddings?: unknown; text_config?: { tie_word_embeddings?: unknown } };
  return Boolean(config.text_config?.tie_word_embeddings ?? config.tie_word_embeddings);
}

/**
 * `auto` is the type of the first of `names` that is stored as it was trained, or BF16 where that type cannot be
 * written.
 */
function resolveType(
  stored: ReadonlyMap<string, StoredWeight>,
  type: CheckpointOptions['type'] = 'auto',
  ...names: string[]
): ConvertType {
  if (type !== 'auto') return type;
  const found = [...stored].find(
    ([name, { quantized }]) => !quantized && names.includes(canonicalName(name)),
  );
  const dtype = found?.[1].dtype.toLowerCase();
  return dtype === 'f16' || dtype === 'f32' ? dtype : 'bf16';
}

function scaledType({ type: wanted = 'auto' }: CheckpointOptions, type: ConvertType): ConvertType {
  return wanted === 'auto' && type === 'bf16' ? 'f16' : type;
}

function infosOf(planned: ReadonlyMap<string, PlannedTensor>): Map<string, TensorInfo> {
  return new Map([...planned].map(([name, { info }]) => [name, info]));
}
