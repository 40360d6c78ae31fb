import type { Metadata } from '../formats/tensor-source.js';
import { FieldReader } from './field-reader.js';
import type { Llama4Config } from './llama4-config.js';

/** Ends of a text or turn; generation stops at any of them, though GGUF metadata names one. */
const STOP_TOKENS = ['<|end_of_text|>', '<|eom|>', '<|eot|>'];

interface SpecialIds {
  readonly bos_token_id: number | undefined;
  readonly eos_token_id: number | number[] | undefined;
  readonly pad_token_id: number | undefined;
}

export interface HuggingFaceOutput {
  /** config.json of a text-only checkpoint (`Llama4ForCausalLM`). */
  readonly config: object;
  /** generation_config.json */
  readonly generation: object;
}

/**
 * `config.json` and `generation_config.json` from what a GGUF file holds. The RoPE settings are spelled as
 * transformers 4 does, which later versions read as well.
 */
export function huggingFaceFiles(
  metadata: Metadata,
  config: Llama4Config,
  details: { readonly dtype: string; readonly tied: boolean; readonly where: string },
): HuggingFaceOutput {
  const fields = FieldReader.ofMetadata(details.where, metadata);
  const ids = specialIds(fields);
  const { ropeScaling, attentionChunkSize, expertCount } = config;
  const kinds = config.ropeLayers.map((rope) =>
    rope && attentionChunkSize > 0 ? 'chunked_attention' : 'full_attention',
  );
  return {
    config: {
      architectures: ['Llama4ForCausalLM'],
      model_type: 'llama4_text',
      torch_dtype: details.dtype,
      vocab_size: config.vocabSize,
      hidden_size: config.embeddingLength,
      intermediate_size: expertCount > 0 ? config.expertFeedForwardLength : config.feedForwardLength,
      intermediate_size_mlp: config.feedForwardLength,
      num_hidden_layers: config.layerCount,
      num_attention_heads: config.headCount,
      num_key_value_heads: config.headCountKv,
      head_dim: config.headDim,
      hidden_act: 'silu',
      max_position_embeddings: config.contextLength,
      rms_norm_eps: shortest(config.rmsEps),
      attention_bias: false,
      attention_chunk_size: attentionChunkSize > 0 ? attentionChunkSize : null,
      attn_temperature_tuning: config.temperatureTuning,
      attn_scale: shortest(config.attnScale),
      floor_scale: shortest(config.floorScale),
      use_qk_norm: config.useQkNorm,
      layer_types: kinds,
      no_rope_layers: config.ropeLayers.map(Number),
      num_local_experts: expertCount,
      num_experts_per_tok: config.expertUsedCount,
      interleave_moe_layer_step: config.interleaveMoeLayerStep,
      moe_layers: config.moeLayers.flatMap((moe, layer) => (moe ? [layer] : [])),
      rope_theta: shortest(config.ropeTheta),
      rope_scaling: ropeScaling
        ? {
            rope_type: 'llama3',
            factor: shortest(ropeScaling.factor),
            low_freq_factor: shortest(ropeScaling.lowFreqFactor),
            high_freq_factor: shortest(ropeScaling.highFreqFactor),
            original_max_position_embeddings: ropeScaling.originalContextLength,
          }
        : null,
      tie_word_embeddings: details.tied,
      ...ids,
    },
    generation: { ...ids, ...sampling(fields) },
  };
}

function specialIds(fields: FieldReader): SpecialIds {
  const id = (name: string) => {
    const value = fields.value(`tokenizer.ggml.${name}_token_id`);
    return typeof value === 'number' ? value : undefined;
  };
  const tokens = fields.list('tokenizer.ggml.tokens') ?? [];
  const eos = id('eos');
  const stops = new Set(STOP_TOKENS.map((token) => tokens.indexOf(token)).filter((index) => index >= 0));
  if (eos !== undefined) stops.add(eos);
  const list = [...stops].sort((a, b) => a - b);
  return {
    bos_token_id: id('bos'),
    eos_token_id: list.length > 1 ? list : list[0],
    pad_token_id: id('padding'),
  };
}

function sampling(fields: FieldReader): Record<string, number | boolean> {
  const settings: Record<string, number | boolean> = {};
  for (const [key, name] of [
    ['temp', 'temperature'],
    ['top_k', 'top_k'],
    ['top_p', 'top_p'],
    ['min_p', 'min_p'],
  ] as const) {
    const value = fields.value(`general.sampling.${key}`);
    if (typeof value === 'number') settings[name] = shortest(value);
  }
  return Object.keys(settings).length > 0 ? { do_sample: true, ...settings } : settings;
}

/** The shortest decimal number that rounds to this 32-bit float: 0.6 instead of 0.6000000238418579. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
