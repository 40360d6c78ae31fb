import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../formats/safetensors/index.js';
import { LLAMA4_SPLIT_PATTERN } from '../vocabulary.js';

type Json = Record<string, unknown>;

export interface TinyOptions {
  /** Replaces fields of the text configuration; `undefined` removes one. */
  readonly config?: Json;
  readonly prefix?: 'language_model.' | 'model.language_model.' | '';
  /** Experts as linear layers of their own instead of fused. */
  readonly linearExperts?: boolean;
  readonly dtype?: 'F32' | 'BF16';
  readonly maxShardSize?: number;
  /** Changes the tensors before they are written. */
  readonly edit?: (shapes: Map<string, number[]>) => void;
}

const VOCAB = ['a', 'b', 'c', 'd', 'ab', 'cd', 'abcd', 'Ġ'];

/** Maverick's structure in small: dense and expert layers in turn, no query and key norm, unscaled RoPE. */
export const TINY_MAVERICK: Json = {
  model_type: 'llama4_text',
  vocab_size: 16,
  hidden_size: 32,
  intermediate_size: 24,
  intermediate_size_mlp: 40,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  max_position_embeddings: 65536,
  rms_norm_eps: 1e-5,
  num_local_experts: 128,
  num_experts_per_tok: 1,
  interleave_moe_layer_step: 2,
  moe_layers: [1, 3],
  no_rope_layers: [],
  use_qk_norm: false,
  rope_theta: 500000,
  rope_scaling: null,
};

/** Writes a checkpoint with small deterministic weights into `folder`, which must exist. */
export async function writeTinyCheckpoint(folder: string, options: TinyOptions = {}): Promise<void> {
  const { prefix = 'language_model.', dtype = 'F32' } = options;
  const text: Json = { ...TINY_MAVERICK, ...options.config };
  const multimodal = { model_type: 'llama4', text_config: text };
  const json = (name: string, content: unknown) => writeFileSync(join(folder, name), JSON.stringify(content));
  json('config.json', prefix === '' ? text : multimodal);
  json('tokenizer.json', {
    added_tokens: [{ id: VOCAB.length, content: '<|begin_of_text|>', special: true }],
    pre_tokenizer: { type: 'Split', pattern: { Regex: LLAMA4_SPLIT_PATTERN } },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(VOCAB.map((token, id) => [token, id])),
      merges: ['a b', 'c d', 'ab cd'],
    },
  });
  json('tokenizer_config.json', { bos_token: '<|begin_of_text|>' });

  const named = (name: string) =>
    prefix === 'model.language_model.' ? name.replace(/^model\./, prefix) : prefix + name;
  const plain = tensorShapes(text, options.linearExperts ?? false);
  const shapes = new Map([...plain].map(([name, shape]) => [named(name), shape]));
  options.edit?.(shapes);
  const tensors = [...shapes].map(([name, shape]) => ({
    name,
    dtype,
    shape,
    bytes: shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 2),
  }));
  await writeSafetensors(join(folder, 'model.safetensors'), {
    tensors,
    maxShardSize: options.maxShardSize,
    write: ({ name, shape }) => {
      const values = tinyWeights(
        name,
        shape.reduce((a, b) => a * b, 1),
      );
      if (dtype === 'F32') return new Uint8Array(values.buffer);
      const bits = new Uint32Array(values.buffer);
      return new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
    },
  });
}

/** The weights of a tensor: they depend on its name only and are near zero. */
export function tinyWeights(name: string, count: number): Float32Array {
  let state = 1;
  for (let i = 0; i < name.length; i++) state = (Math.imul(state, 31) + name.charCodeAt(i)) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) / 4;
  });
}

function tensorShapes(config: Json, linearExperts: boolean): Map<string, number[]> {
  const size = (key: string) => config[key] as number;
  const width = size('hidden_size');
  const heads = size('num_attention_heads') * size('head_dim');
  const keys = size('num_key_value_heads') * size('head_dim');
  const experts = size('num_local_experts');
  const shapes = new Map<string, number[]>([
    ['lm_head.weight', [size('vocab_size'), width]],
    ['model.embed_tokens.weight', [size('vocab_size'), width]],
    ['model.norm.weight', [width]],
  ]);
  const mlp = (name: string, hidden: number) => {
    shapes.set(`${name}.gate_proj.weight`, [hidden, width]);
    shapes.set(`${name}.up_proj.weight`, [hidden, width]);
    shapes.set(`${name}.down_proj.weight`, [width, hidden]);
  };
  for (let layer = 0; layer < size('num_hidden_layers'); layer++) {
    const block = `model.layers.${layer}`;
    shapes.set(`${block}.input_layernorm.weight`, [width]);
    shapes.set(`${block}.post_attention_layernorm.weight`, [width]);
    shapes.set(`${block}.self_attn.q_proj.weight`, [heads, width]);
    shapes.set(`${block}.self_attn.k_proj.weight`, [keys, width]);
    shapes.set(`${block}.self_attn.v_proj.weight`, [keys, width]);
    shapes.set(`${block}.self_attn.o_proj.weight`, [width, heads]);
    const part = `${block}.feed_forward`;
    const hidden = size('intermediate_size');
    if (!(config.moe_layers as number[]).includes(layer)) {
      mlp(part, size('intermediate_size_mlp'));
      continue;
    }
    shapes.set(`${part}.router.weight`, [experts, width]);
    mlp(`${part}.shared_expert`, hidden);
    if (linearExperts) {
      for (let expert = 0; expert < experts; expert++) mlp(`${part}.experts.${expert}`, hidden);
    } else {
      shapes.set(`${part}.experts.gate_up_proj`, [experts, width, 2 * hidden]);
      shapes.set(`${part}.experts.down_proj`, [experts, hidden, width]);
    }
  }
  return shapes;
}
