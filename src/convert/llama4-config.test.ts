import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Metadata, MetadataValue } from '../formats/tensor-source.js';
import { configFromHuggingFace, configFromMetadata } from './llama4-config.js';

const nanoJson = JSON.parse(readFileSync('models/nano-scout/config.json', 'utf8'));

/** The shape of Maverick, in the spelling of transformers 4 at the time of its release. */
const maverick = {
  model_type: 'llama4',
  text_config: {
    model_type: 'llama4_text',
    attention_chunk_size: 8192,
    eos_token_id: [200001, 200007, 200008],
    head_dim: 128,
    hidden_size: 5120,
    interleave_moe_layer_step: 2,
    intermediate_size: 8192,
    intermediate_size_mlp: 16384,
    max_position_embeddings: 1048576,
    moe_layers: null,
    no_rope_layers: [],
    num_attention_heads: 40,
    num_experts_per_tok: 1,
    num_hidden_layers: 48,
    num_key_value_heads: 8,
    num_local_experts: 128,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    rope_theta: 500000,
    use_qk_norm: false,
    vocab_size: 202048,
  },
};

function text(changes: Record<string, unknown>): unknown {
  return { ...maverick, text_config: { ...maverick.text_config, ...changes } };
}

describe('configFromHuggingFace', () => {
  it('reads nano-scout', () => {
    expect(configFromHuggingFace(nanoJson)).toEqual({
      layerCount: 6,
      embeddingLength: 256,
      headCount: 8,
      headCountKv: 2,
      headDim: 32,
      expertCount: 8,
      expertUsedCount: 1,
      expertFeedForwardLength: 256,
      feedForwardLength: 512,
      vocabSize: 4096,
      contextLength: 10485760,
      rmsEps: 1e-5,
      ropeTheta: 500000,
      ropeLayers: [true, true, true, false, true, true],
      moeLayers: [true, true, true, true, true, true],
      useQkNorm: true,
      attentionChunkSize: 8192,
      temperatureTuning: true,
      floorScale: 8192,
      attnScale: 0.1,
      ropeScaling: { factor: 16, lowFreqFactor: 1, highFreqFactor: 1, originalContextLength: 8192 },
      interleaveMoeLayerStep: 1,
    });
  });

  it('derives layers from intervals where the lists are missing', () => {
    const config = configFromHuggingFace(maverick);
    expect(config.ropeLayers.flatMap((rope, layer) => (rope ? [] : [layer]))).toEqual(
      Array.from({ length: 12 }, (_, i) => i * 4 + 3),
    );
    expect(config.moeLayers.flatMap((moe, layer) => (moe ? [layer] : []))).toEqual(
      Array.from({ length: 24 }, (_, i) => i * 2 + 1),
    );
    expect(config.ropeScaling).toBeUndefined();
    expect(config.temperatureTuning).toBe(true);
    expect(config.useQkNorm).toBe(false);
  });

  it('reads both spellings of RoPE alike', () => {
    const scaling = {
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    };
    const old = configFromHuggingFace(text({ rope_theta: 1e6, rope_scaling: scaling }));
    const { rope_theta: _theta, rope_scaling: _scaling, ...rest } = maverick.text_config;
    const parameters = { ...scaling, rope_theta: 1e6 };
    expect(configFromHuggingFace({ ...rest, rope_parameters: parameters })).toEqual(old);
  });

  it('reads truthy temperature tuning, dense models and models without chunks', () => {
    expect(configFromHuggingFace(text({ attn_temperature_tuning: 4 })).temperatureTuning).toBe(true);
    expect(configFromHuggingFace(text({ attn_temperature_tuning: 0 })).temperatureTuning).toBe(false);
    const dense = configFromHuggingFace(
      text({ num_local_experts: 0, interleave_moe_layer_step: 0, moe_layers: [] }),
    );
    expect(dense.moeLayers).toEqual(new Array(48).fill(false));
    expect(dense.expertFeedForwardLength).toBe(0);
    const full = text({ layer_types: new Array(48).fill('full_attention') });
    expect(configFromHuggingFace(full).attentionChunkSize).toBe(0);
  });

  it.each([
    ['another architecture', { model_type: 'llama' }, 'unsupported-architecture'],
    ['not an object', [1], 'bad-config'],
    ['absurd layers', text({ num_hidden_layers: 1e9 }), 'bad-config'],
    ['a missing size', text({ hidden_size: undefined }), 'bad-config'],
    ['a fractional size', text({ vocab_size: 1.5 }), 'bad-config'],
    ['heads that do not divide', text({ num_key_value_heads: 7 }), 'bad-config'],
    ['flags for too few layers', text({ no_rope_layers: [1, 0] }), 'bad-config'],
    ['an expert layer past the end', text({ moe_layers: [48] }), 'bad-config'],
    ['another scaling', text({ rope_scaling: { rope_type: 'yarn', factor: 4 } }), 'unsupported-config'],
    ['attention biases', text({ attention_bias: true }), 'unsupported-config'],
  ])('refuses %s', (_name, json, code) => {
    expect(() => configFromHuggingFace(json)).toThrowError(expect.objectContaining({ code }));
  });
});

describe('configFromMetadata', () => {
  const metadata = (extra: Record<string, MetadataValue> = {}): Metadata =>
    new Map<string, MetadataValue>([
      ['general.architecture', { type: 'string', value: 'llama4' }],
      ...Object.entries({
        block_count: 8,
        context_length: 4096,
        embedding_length: 64,
        feed_forward_length: 96,
        'attention.head_count': 4,
        'attention.head_count_kv': 2,
        expert_count: 128,
        expert_used_count: 1,
        expert_feed_forward_length: 32,
        interleave_moe_layer_step: 2,
        vocab_size: 100,
      }).map(([key, value]): [string, MetadataValue] => [`llama4.${key}`, { type: 'uint32', value }]),
      ['llama4.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
      ['llama4.rope.freq_base', { type: 'float32', value: 500000 }],
      ...Object.entries(extra),
    ]);
  const none = new Set<string>();

  it("falls back to llama.cpp's rules", () => {
    const config = configFromMetadata(metadata(), none);
    expect(config.ropeLayers).toEqual([true, true, true, false, true, true, true, false]);
    expect(config.moeLayers).toEqual([false, true, false, true, false, true, false, true]);
    expect(config.useQkNorm).toBe(false);
    expect(config).toMatchObject({ attentionChunkSize: 8192, floorScale: 8192, attnScale: 0.1, headDim: 16 });
    const scout = metadata({ 'llama4.expert_count': { type: 'uint32', value: 16 } });
    expect(configFromMetadata(scout, none).useQkNorm).toBe(true);
  });

  it('believes the tensors over the interval', () => {
    const names = new Set(['blk.0.ffn_gate_inp.weight', 'blk.1.ffn_gate.weight']);
    expect(configFromMetadata(metadata(), names).moeLayers.slice(0, 4)).toEqual([true, false, false, true]);
  });

  it('reads the extra keys', () => {
    const config = configFromMetadata(
      metadata({
        'llama4.attention.chunk_size': { type: 'uint32', value: 256 },
        'llama4.use_qk_norm': { type: 'bool', value: true },
        'llama4.rope.layers': { type: 'array', items: 'bool', value: new Array(8).fill(true) },
        'llama4.rope.llama3_scaling': { type: 'array', items: 'float32', value: [16, 1, 1, 8192] },
      }),
      none,
    );
    expect(config).toMatchObject({ attentionChunkSize: 256, useQkNorm: true });
    expect(config.ropeLayers).toEqual(new Array(8).fill(true));
    expect(config.ropeScaling?.factor).toBe(16);
  });

  it('knows the sign for models without chunks', () => {
    const window: MetadataValue = { type: 'uint32', value: 0 };
    const config = configFromMetadata(metadata({ 'llama4.attention.sliding_window': window }), none);
    expect(config.attentionChunkSize).toBe(0);
    expect(config.ropeLayers).toEqual(new Array(8).fill(true));
  });

  it.each([
    ['another architecture', { 'general.architecture': { type: 'string', value: 'qwen3' } as const }],
    ['no width', { 'llama4.embedding_length': { type: 'uint32', value: 0 } as const }],
    [
      'more experts used than there are',
      { 'llama4.expert_used_count': { type: 'uint32', value: 129 } as const },
    ],
    ['partial rotation', { 'llama4.rope.dimension_count': { type: 'uint32', value: 8 } as const }],
  ])('refuses %s', (_name, extra) => {
    expect(() => configFromMetadata(metadata(extra), none)).toThrowError(/expected|of only/);
  });
});
