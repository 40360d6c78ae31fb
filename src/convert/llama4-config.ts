import { CriaError } from '../base/errors.js';
import type { Metadata } from '../formats/tensor-source.js';
import { badConfig, FieldReader } from './field-reader.js';

/** Frequency scaling of Llama 3's kind, which Scout uses: long wavelengths are divided by `factor`. */
export interface RopeScaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalContextLength: number;
}

/** The shape of a Llama 4 text model, wherever it was read from. */
export interface Llama4Config {
  readonly layerCount: number;
  readonly embeddingLength: number;
  readonly headCount: number;
  readonly headCountKv: number;
  readonly headDim: number;
  /** Routed experts of a mixture-of-experts layer; 0 in a dense model. */
  readonly expertCount: number;
  readonly expertUsedCount: number;
  /** Width of each routed expert and of the shared expert; 0 in a dense model. */
  readonly expertFeedForwardLength: number;
  /** Width of the feed-forward part of a dense layer. */
  readonly feedForwardLength: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  /** Used by every norm, the query and key norm included. */
  readonly rmsEps: number;
  readonly ropeTheta: number;
  /** Per layer: true = RoPE and chunked attention, false = no position encoding and full attention. */
  readonly ropeLayers: readonly boolean[];
  /** Per layer: true = router, experts and shared expert; false = dense. */
  readonly moeLayers: readonly boolean[];
  /** Weightless norm of queries and keys after RoPE, in the RoPE layers only. */
  readonly useQkNorm: boolean;
  /** Positions per attention chunk of the RoPE layers; 0 when these too see everything before them. */
  readonly attentionChunkSize: number;
  /** Scale queries of the layers without RoPE by `1 + attnScale × ln(1 + ⌊(position + 1) / floorScale⌋)`. */
  readonly temperatureTuning: boolean;
  readonly floorScale: number;
  readonly attnScale: number;
  /**
   * Known from a checkpoint and from files written by Cria. A network takes the divisors from the tensor
   * `rope_freqs.weight` instead, which every source has when frequencies are scaled.
   */
  readonly ropeScaling?: RopeScaling;
  /** Every how many layers a mixture-of-experts layer comes; 0 = never. `moeLayers` is what counts. */
  readonly interleaveMoeLayerStep: number;
}

/** What llama.cpp assumes because its files do not say (llama.cpp v0.5.0, src/models/llama4.cpp). */
export const LLAMA_CPP_RULES = {
  chunkSize: 8192,
  floorScale: 8192,
  attnScale: 0.1,
  noRopeInterval: 4,
  useQkNorm: (expertCount: number) => expertCount !== 128,
} as const;

/** Metadata keys beyond llama.cpp's. The first two are the names Ollama writes; llama.cpp ignores them all. */
export const EXTRA_KEYS = {
  chunkSize: 'llama4.attention.chunk_size',
  useQkNorm: 'llama4.use_qk_norm',
  temperatureTuning: 'llama4.attention.temperature_tuning',
  floorScale: 'llama4.attention.temperature_length',
  attnScale: 'llama4.attention.temperature_scale',
  ropeLayers: 'llama4.rope.layers',
  /** `[factor, low frequency factor, high frequency factor, original context length]` */
  ropeScaling: 'llama4.rope.llama3_scaling',
} as const;

// Far above any Llama 4 and low enough that products of two stay exact and no allocation runs away.
const LIMITS = { layers: 1024, width: 2 ** 20, heads: 4096, experts: 4096, vocab: 2 ** 23, context: 2 ** 31 };

/**
 * Reads the model's shape from GGUF metadata, assuming what llama.cpp assumes where a key is absent. `tensors`
 * tells a mixture-of-experts layer from a dense one.
 * Throws `unsupported-architecture` for another architecture and `bad-config` for missing or absurd values.
 */
export function configFromMetadata(
  metadata: Metadata,
  tensors: { has(name: string): boolean },
  where = 'GGUF metadata',
): Llama4Config {
  const fields = FieldReader.ofMetadata(where, metadata);
  const architecture = fields.text('general.architecture');
  if (architecture !== 'llama4') {
    throw new CriaError(
      'unsupported',
      'unsupported-architecture',
      `${where}: expected a GGUF file with general.architecture llama4, found ${architecture ?? 'none'}`,
    );
  }
  const key = (name: string) => `llama4.${name}`;
  const count = (name: string, limit: number, fallback?: number) =>
    fields.integer(key(name), 1, limit, fallback);

  const layerCount = count('block_count', LIMITS.layers);
  const embeddingLength = count('embedding_length', LIMITS.width);
  const headCount = count('attention.head_count', LIMITS.heads);
  const headDim = count('attention.key_length', LIMITS.width, embeddingLength / headCount);
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    if (count(name, LIMITS.width, headDim) !== headDim) {
      throw fields.refuse(key(name), `${headDim}, the head size`);
    }
  }
  const expertCount = fields.integer(key('expert_count'), 0, LIMITS.experts, 0);
  const step = fields.integer(key('interleave_moe_layer_step'), 0, LIMITS.layers, expertCount > 0 ? 1 : 0);
  // llama.cpp's sign for "every layer has RoPE and sees everything".
  const unchunked = fields.value(key('attention.sliding_window')) === 0;
  const feedForwardLength = count('feed_forward_length', LIMITS.width);
  const layers = Array.from({ length: layerCount }, (_, layer) => layer);

  return checked(where, {
    layerCount,
    embeddingLength,
    headCount,
    headCountKv: count('attention.head_count_kv', LIMITS.heads, headCount),
    headDim,
    expertCount,
    expertUsedCount: fields.integer(key('expert_used_count'), 0, LIMITS.experts, Math.min(1, expertCount)),
    expertFeedForwardLength:
      expertCount === 0 ? 0 : count('expert_feed_forward_length', LIMITS.width, feedForwardLength),
    feedForwardLength,
    vocabSize: count('vocab_size', LIMITS.vocab, fields.list('tokenizer.ggml.tokens')?.length),
    contextLength: count('context_length', LIMITS.context),
    rmsEps: fields.positive(key('attention.layer_norm_rms_epsilon')),
    ropeTheta: fields.positive(key('rope.freq_base'), 500000),
    ropeLayers:
      layerFlags(fields, EXTRA_KEYS.ropeLayers, layerCount) ??
      layers.map((layer) => unchunked || (layer + 1) % LLAMA_CPP_RULES.noRopeInterval !== 0),
    moeLayers: layers.map((layer) => {
      if (expertCount === 0) return false;
      if (tensors.has(`blk.${layer}.ffn_gate_inp.weight`)) return true;
      return !tensors.has(`blk.${layer}.ffn_gate.weight`) && step > 0 && (layer + 1) % step === 0;
    }),
    useQkNorm: fields.flag(EXTRA_KEYS.useQkNorm, LLAMA_CPP_RULES.useQkNorm(expertCount)),
    attentionChunkSize: fields.integer(
      EXTRA_KEYS.chunkSize,
      0,
      LIMITS.context,
      unchunked ? 0 : LLAMA_CPP_RULES.chunkSize,
    ),
    temperatureTuning: fields.flag(EXTRA_KEYS.temperatureTuning, true),
    floorScale: fields.positive(EXTRA_KEYS.floorScale, LLAMA_CPP_RULES.floorScale),
    attnScale: fields.positive(EXTRA_KEYS.attnScale, LLAMA_CPP_RULES.attnScale),
    ropeScaling: storedRopeScaling(fields),
    interleaveMoeLayerStep: step,
  });
}

/**
 * Reads the model's shape from a parsed `config.json`: a text-only or multimodal one, in the spelling of
 * transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`).
 * Throws `unsupported-architecture` for anything but Llama 4, `unsupported-config` for a Llama 4 that Cria cannot
 * run, `bad-config` for missing or absurd values.
 */
export function configFromHuggingFace(json: unknown, where = 'config.json'): Llama4Config {
  const fields = textSection(json, where);
  const count = (name: string, limit: number, fallback?: number) => fields.integer(name, 1, limit, fallback);

  const layerCount = count('num_hidden_layers', LIMITS.layers);
  const embeddingLength = count('hidden_size', LIMITS.width);
  const headCount = count('num_attention_heads', LIMITS.heads);
  const intermediate = count('intermediate_size', LIMITS.width);
  const expertCount = fields.integer('num_local_experts', 0, LIMITS.experts, 16);
  const step = fields.integer('interleave_moe_layer_step', 0, LIMITS.layers, 1);
  const ropeLayers = ropeLayersOf(fields, layerCount);
  const rope = fields.section('rope_parameters');
  const activation = fields.text('hidden_act') ?? 'silu';
  if (activation !== 'silu') throw unsupported(where, `hidden_act silu, found ${activation}`);
  if (fields.flag('attention_bias', false)) throw unsupported(where, 'attention_bias false, found true');

  return checked(where, {
    layerCount,
    embeddingLength,
    headCount,
    headCountKv: count('num_key_value_heads', LIMITS.heads, headCount),
    headDim: count('head_dim', LIMITS.width, embeddingLength / headCount),
    expertCount,
    expertUsedCount: expertCount === 0 ? 0 : fields.integer('num_experts_per_tok', 1, LIMITS.experts, 1),
    expertFeedForwardLength: expertCount === 0 ? 0 : intermediate,
    feedForwardLength: count('intermediate_size_mlp', LIMITS.width, intermediate),
    vocabSize: count('vocab_size', LIMITS.vocab),
    contextLength: count('max_position_embeddings', LIMITS.context),
    rmsEps: fields.positive('rms_norm_eps', 1e-5),
    ropeTheta: rope?.value('rope_theta')
      ? rope.positive('rope_theta')
      : fields.positive('rope_theta', 500000),
    ropeLayers,
    moeLayers: moeLayersOf(fields, layerCount, expertCount, step),
    useQkNorm: fields.flag('use_qk_norm', true),
    attentionChunkSize: chunkSizeOf(fields, ropeLayers),
    temperatureTuning: fields.flag('attn_temperature_tuning', true),
    floorScale: fields.positive('floor_scale', LLAMA_CPP_RULES.floorScale),
    attnScale: fields.positive('attn_scale', LLAMA_CPP_RULES.attnScale),
    ropeScaling: ropeScalingOf(rope ?? fields.section('rope_scaling')),
    interleaveMoeLayerStep: expertCount === 0 ? 0 : step,
  });
}

function textSection(json: unknown, where: string): FieldReader {
  const top = FieldReader.ofObject(where, json);
  const modelType = top.text('model_type');
  if (modelType === 'llama4_text') return top;
  const text = modelType === 'llama4' ? top.section('text_config') : undefined;
  if (text) return text;
  throw new CriaError(
    'unsupported',
    'unsupported-architecture',
    `${where}: expected model_type llama4 with a text_config, or llama4_text; found ${modelType ?? 'none'}`,
  );
}

/** `no_rope_layers` holds 1 for a layer *with* RoPE; absent or empty, every `no_rope_layer_interval`-th has none. */
function ropeLayersOf(fields: FieldReader, layerCount: number): boolean[] {
  const listed = fields.list('no_rope_layers');
  if (listed && listed.length > 0) return layerFlags(fields, 'no_rope_layers', layerCount)!;
  const interval = fields.integer('no_rope_layer_interval', 1, 2 ** 31, LLAMA_CPP_RULES.noRopeInterval);
  return Array.from({ length: layerCount }, (_, layer) => (layer + 1) % interval !== 0);
}

function moeLayersOf(fields: FieldReader, layerCount: number, expertCount: number, step: number): boolean[] {
  const listed = fields.list('moe_layers');
  const moe = new Array<boolean>(layerCount).fill(false);
  if (expertCount === 0) return moe;
  for (const layer of listed ?? []) {
    if (typeof layer !== 'number' || !(layer in moe)) {
      throw fields.refuse('moe_layers', `a list of layers from 0 to ${layerCount - 1}`);
    }
    moe[layer] = true;
  }
  return listed ? moe : moe.map((_, layer) => step > 0 && (layer + 1) % step === 0);
}

/** The chunk size; 0 when `layer_types` says that the RoPE layers attend to everything. */
function chunkSizeOf(fields: FieldReader, ropeLayers: readonly boolean[]): number {
  const size = fields.value('attention_chunk_size') === undefined ? LLAMA_CPP_RULES.chunkSize : undefined;
  const chunk = fields.integer('attention_chunk_size', 0, LIMITS.context, size);
  const types = fields.list('layer_types');
  if (!types) return chunk;
  if (types.every((type) => type === 'full_attention')) return 0;
  const matches =
    types.length === ropeLayers.length &&
    types.every((type, layer) => type === (ropeLayers[layer] ? 'chunked_attention' : 'full_attention'));
  if (!matches) {
    throw unsupported(
      fields.where,
      'layer_types chunked_attention for the layers with RoPE and full_attention for the others',
    );
  }
  return chunk;
}

function ropeScalingOf(fields: FieldReader | undefined): RopeScaling | undefined {
  const kind = fields?.text('rope_type') ?? fields?.text('type') ?? 'default';
  if (!fields || kind === 'default') return undefined;
  if (kind !== 'llama3') throw unsupported(fields.where, `rope_type llama3 or default, found ${kind}`);
  return {
    factor: fields.positive('factor', 8),
    lowFreqFactor: fields.positive('low_freq_factor', 1),
    highFreqFactor: fields.positive('high_freq_factor', 4),
    originalContextLength: fields.positive('original_max_position_embeddings', 8192),
  };
}

function storedRopeScaling(fields: FieldReader): RopeScaling | undefined {
  const stored = fields.list(EXTRA_KEYS.ropeScaling);
  if (!stored) return undefined;
  const numbers = stored.filter((n): n is number => typeof n === 'number' && n > 0);
  const [factor, lowFreqFactor, highFreqFactor, originalContextLength] = numbers;
  if (numbers.length !== 4 || stored.length !== 4) {
    throw fields.refuse(EXTRA_KEYS.ropeScaling, 'four numbers above 0');
  }
  return {
    factor: factor!,
    lowFreqFactor: lowFreqFactor!,
    highFreqFactor: highFreqFactor!,
    originalContextLength: originalContextLength!,
  };
}

function layerFlags(fields: FieldReader, key: string, layerCount: number): boolean[] | undefined {
  const list = fields.list(key);
  if (list && (list.length !== layerCount || !list.every((v) => [0, 1, true, false].includes(v as number)))) {
    throw fields.refuse(key, `a list of ${layerCount} flags, one per layer`);
  }
  return list?.map(Boolean);
}

function checked(where: string, config: Llama4Config): Llama4Config {
  const { headCount, headCountKv, headDim, expertCount, expertUsedCount } = config;
  if (headCount % headCountKv !== 0) {
    throw badConfig(
      `${where}: ${headCount} attention heads do not divide among ${headCountKv} key/value heads`,
    );
  }
  if (headDim % 2 !== 0 || headDim * headCount > LIMITS.width) {
    throw badConfig(`${where}: a head size of ${headDim} with ${headCount} heads is not usable`);
  }
  if (expertUsedCount > expertCount) {
    throw badConfig(`${where}: ${expertUsedCount} experts per token of only ${expertCount}`);
  }
  return config;
}

function unsupported(where: string, expectation: string): CriaError {
  return new CriaError('unsupported', 'unsupported-config', `${where}: expected ${expectation}`);
}
