import { basename, resolve } from 'node:path';
import { elementCount, type MetadataValue, type TensorInfo } from '../formats/tensor-source.js';
import { FieldReader } from './field-reader.js';
import { EXTRA_KEYS, LLAMA_CPP_RULES, type Llama4Config } from './llama4-config.js';
import { bool, f32, i32, list, text, u32 } from './metadata-values.js';
import type { VisionConfig } from './vision-config.js';

/** Type of the large tensors of a converted file. */
export type ConvertType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** `llama_ftype` of llama.cpp. */
const FILE_TYPE: Readonly<Record<ConvertType, number>> = { f32: 0, f16: 1, q8_0: 7, bf16: 32 };

export interface GeneralInfo {
  readonly folder: string;
  readonly type: ConvertType;
  /** generation_config.json, if there is one. */
  readonly generation: unknown;
  readonly tensors: Iterable<TensorInfo>;
}

/**
 * The metadata of a text model before its `tokenizer.*` part: keys, types and order of llama.cpp's converter
 * (v0.5.0), then Cria's own keys (`EXTRA_KEYS`), which llama.cpp skips.
 */
export function textMetadata(general: GeneralInfo, config: Llama4Config): Map<string, MetadataValue> {
  const metadata = generalMetadata(general, 'llama4', 'model');
  const set = (name: string, value: MetadataValue) => metadata.set(`llama4.${name}`, value);
  set('block_count', u32(config.layerCount));
  set('context_length', u32(config.contextLength));
  set('embedding_length', u32(config.embeddingLength));
  set('feed_forward_length', u32(config.feedForwardLength));
  set('attention.head_count', u32(config.headCount));
  set('attention.head_count_kv', u32(config.headCountKv));
  set('rope.freq_base', f32(config.ropeTheta));
  set('attention.layer_norm_rms_epsilon', f32(config.rmsEps));
  set('expert_count', u32(config.expertCount));
  set('expert_used_count', u32(config.expertUsedCount));
  set('attention.key_length', u32(config.headDim));
  set('attention.value_length', u32(config.headDim));
  metadata.set('general.file_type', u32(FILE_TYPE[general.type]));
  set('vocab_size', u32(config.vocabSize));
  set('rope.dimension_count', u32(config.headDim));
  set('interleave_moe_layer_step', u32(config.interleaveMoeLayerStep));
  set('expert_feed_forward_length', u32(config.expertFeedForwardLength));
  if (config.attentionChunkSize === 0) set('attention.sliding_window', u32(0));
  for (const [key, value] of extraMetadata(config)) metadata.set(key, value);
  metadata.set('general.quantization_version', u32(2));
  return metadata;
}

/** The metadata of a vision file (`mmproj`), as llama.cpp's converter writes it. */
export function visionMetadata(
  general: GeneralInfo,
  config: VisionConfig,
  preprocessor: unknown,
): Map<string, MetadataValue> {
  const metadata = generalMetadata(general, 'clip', 'mmproj');
  const set = (name: string, value: MetadataValue) => metadata.set(`clip.${name}`, value);
  const image = FieldReader.ofObject(`${general.folder}/preprocessor_config.json`, preprocessor ?? {});
  const channels = (key: string): MetadataValue => {
    const values = image.list(key) ?? new Array<number>(config.channels).fill(0.5);
    if (values.length !== config.channels || !values.every((v): v is number => Number.isFinite(v))) {
      throw image.refuse(key, `${config.channels} numbers`);
    }
    return list('float32', values.map(Math.fround));
  };
  metadata.set('general.file_type', u32(FILE_TYPE[general.type]));
  set('has_vision_encoder', bool(true));
  set('vision.projection_dim', u32(config.projectionLength));
  set('vision.image_size', u32(config.imageSize));
  set('vision.patch_size', u32(config.patchSize));
  set('vision.embedding_length', u32(config.embeddingLength));
  set('vision.feed_forward_length', u32(config.feedForwardLength));
  set('vision.block_count', u32(config.layerCount));
  set('vision.attention.head_count', u32(config.headCount));
  set('vision.image_mean', channels('image_mean'));
  set('vision.image_std', channels('image_std'));
  set('projector_type', text('llama4'));
  set('vision.attention.layer_norm_epsilon', f32(config.layerNormEps));
  set('vision.projector.scale_factor', u32(config.scaleFactor));
  set('use_gelu', bool(true));
  metadata.set('general.quantization_version', u32(2));
  return metadata;
}

function generalMetadata(
  { folder, generation, tensors }: GeneralInfo,
  architecture: string,
  type: string,
): Map<string, MetadataValue> {
  const sampling = FieldReader.ofObject(`${folder}/generation_config.json`, generation ?? {});
  const metadata = new Map<string, MetadataValue>([
    ['general.architecture', text(architecture)],
    ['general.type', text(type)],
  ]);
  for (const [key, source, make] of [
    ['top_k', 'top_k', i32],
    ['top_p', 'top_p', f32],
    ['min_p', 'min_p', f32],
    ['temp', 'temperature', f32],
  ] as const) {
    const value = sampling.value(source);
    if (typeof value === 'number') metadata.set(`general.sampling.${key}`, make(value));
  }
  metadata.set('general.name', text(titleOf(folder)));
  metadata.set('general.size_label', text(sizeLabel(tensors)));
  return metadata;
}

/** What GGUF has no key for. The chunk size and the norm always, as Ollama does, the rest where it is unusual. */
function extraMetadata(config: Llama4Config): Map<string, MetadataValue> {
  const extra = new Map<string, MetadataValue>([
    [EXTRA_KEYS.chunkSize, u32(config.attentionChunkSize)],
    [EXTRA_KEYS.useQkNorm, bool(config.useQkNorm)],
  ]);
  const rules = LLAMA_CPP_RULES;
  const usualRope = (rope: boolean, layer: number) =>
    rope === (config.attentionChunkSize === 0 || (layer + 1) % rules.noRopeInterval !== 0);
  if (!config.temperatureTuning) extra.set(EXTRA_KEYS.temperatureTuning, bool(false));
  if (config.floorScale !== rules.floorScale) extra.set(EXTRA_KEYS.floorScale, f32(config.floorScale));
  if (config.attnScale !== rules.attnScale) extra.set(EXTRA_KEYS.attnScale, f32(config.attnScale));
  if (!config.ropeLayers.every(usualRope)) extra.set(EXTRA_KEYS.ropeLayers, list('bool', config.ropeLayers));
  if (config.ropeScaling) {
    const { factor, lowFreqFactor, highFreqFactor, originalContextLength } = config.ropeScaling;
    const values = [factor, lowFreqFactor, highFreqFactor, originalContextLength];
    extra.set(EXTRA_KEYS.ropeScaling, list('float32', values.map(Math.fround)));
  }
  return extra;
}

/** `nano-scout` → `Nano Scout`: words in lower case get a capital, others and versions stay as they are. */
function titleOf(folder: string): string {
  const words = basename(resolve(folder)).replaceAll('-', ' ').split(/\s+/).filter(Boolean);
  const title = (word: string) => word.replace(/\p{L}+/gu, (run) => run[0]!.toUpperCase() + run.slice(1));
  const keep = (word: string) => word !== word.toLowerCase() || /^v?\d/.test(word);
  return words.map((word) => (keep(word) ? word : title(word))).join(' ');
}

/** llama.cpp's label: parameters, or `experts x parameters with one expert` (gguf-py, utility.py). */
function sizeLabel(tensors: Iterable<TensorInfo>): string {
  let shared = 0;
  let expert = 0;
  let experts = 0;
  for (const { name, shape } of tensors) {
    const size = elementCount(shape);
    if (name.includes('_exps.')) {
      experts = shape.at(-1)!;
      expert += size / experts;
    } else {
      shared += size;
    }
  }
  const label = roundedCount(shared + expert);
  return experts > 0 ? `${experts}x${label}` : label;
}

function roundedCount(count: number): string {
  const [scale, suffix] = (
    [
      [1e12, 'T'],
      [1e9, 'B'],
      [1e6, 'M'],
    ] as const
  ).find(([limit]) => count >= limit) ?? [1e3, 'K'];
  const whole = Math.round(count / scale);
  const digits = whole === 0 ? 0 : String(whole).length;
  return `${(count / scale).toFixed(Math.max(2 - digits, 0))}${suffix}`;
}
