// Writes a Hugging Face checkpoint with random BF16 weights in Scout's or Maverick's real shapes, few layers and the
// small vocabulary of nano-scout:
//   node bench/random-checkpoint.mjs FOLDER [--model scout|maverick] [--layers N]
// Two layers of Scout are 8.9 GB.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeSafetensors } from '../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { model: { type: 'string', default: 'scout' }, layers: { type: 'string', default: '2' } },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('expected a folder to write to');
const layers = Number(values.layers);
const maverick = values.model === 'maverick';
const nano = fileURLToPath(new URL('../models/nano-scout/', import.meta.url));

const [width, inner, dense, heads, kvHeads, headDim, vocab] = [5120, 8192, 16384, 40, 8, 128, 4096];
const experts = maverick ? 128 : 16;
const step = maverick ? 2 : 1;

const config = JSON.parse(readFileSync(`${nano}config.json`, 'utf8'));
Object.assign(config.text_config, {
  hidden_size: width,
  intermediate_size: inner,
  intermediate_size_mlp: dense,
  num_attention_heads: heads,
  num_key_value_heads: kvHeads,
  head_dim: headDim,
  num_hidden_layers: layers,
  num_local_experts: experts,
  interleave_moe_layer_step: step,
  moe_layers: Array.from({ length: layers }, (_, i) => i).filter((i) => (i + 1) % step === 0),
  no_rope_layers: Array.from({ length: layers }, (_, i) => ((i + 1) % 4 === 0 ? 0 : 1)),
  layer_types: undefined,
  use_qk_norm: !maverick,
  vocab_size: vocab,
});
if (maverick) config.text_config.rope_parameters = { rope_type: 'default', rope_theta: 500000 };
delete config.vision_config;
config.architectures = ['Llama4ForCausalLM'];
const text = { ...config.text_config, architectures: config.architectures };

mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/config.json`, JSON.stringify(text, null, 1));
for (const file of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
  cpSync(`${nano}${file}`, `${folder}/${file}`);
}

const tensors = [];
const add = (name, ...shape) => {
  const bytes = shape.reduce((product, n) => product * n, 2);
  tensors.push({ name, dtype: 'BF16', shape, bytes });
};
add('model.embed_tokens.weight', vocab, width);
add('model.norm.weight', width);
add('lm_head.weight', vocab, width);
for (let i = 0; i < layers; i++) {
  const layer = `model.layers.${i}`;
  add(`${layer}.input_layernorm.weight`, width);
  add(`${layer}.post_attention_layernorm.weight`, width);
  add(`${layer}.self_attn.q_proj.weight`, heads * headDim, width);
  add(`${layer}.self_attn.k_proj.weight`, kvHeads * headDim, width);
  add(`${layer}.self_attn.v_proj.weight`, kvHeads * headDim, width);
  add(`${layer}.self_attn.o_proj.weight`, width, heads * headDim);
  const forward = `${layer}.feed_forward`;
  if ((i + 1) % step !== 0) {
    add(`${forward}.gate_proj.weight`, dense, width);
    add(`${forward}.up_proj.weight`, dense, width);
    add(`${forward}.down_proj.weight`, width, dense);
    continue;
  }
  add(`${forward}.router.weight`, experts, width);
  add(`${forward}.experts.gate_up_proj`, experts, width, 2 * inner);
  add(`${forward}.experts.down_proj`, experts, inner, width);
  add(`${forward}.shared_expert.gate_proj.weight`, inner, width);
  add(`${forward}.shared_expert.up_proj.weight`, inner, width);
  add(`${forward}.shared_expert.down_proj.weight`, width, inner);
}

// Bell-shaped weights of standard deviation about 0.02: sums of uniform numbers, the upper 16 bits of each float.
const POOL = 1 << 22;
let state = 20231;
const uniform = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32 - 0.5;
};
const floats = Float32Array.from(
  { length: POOL },
  () => (uniform() + uniform() + uniform() + uniform()) * 0.035,
);
const words = new Uint16Array(POOL);
const bits = new Uint32Array(floats.buffer);
for (let i = 0; i < POOL; i++) words[i] = bits[i] >>> 16;
const ones = new Uint8Array(new Uint16Array(width).fill(0x3f80).buffer);

function* weights(bytes) {
  // A different start into the pool for every piece, so that no two rows of a matrix are the same.
  for (let done = 0; done < bytes; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const start = (state % (POOL / 2)) * 2;
    const piece = new Uint8Array(words.buffer, start, Math.min(bytes - done, POOL * 2 - start, 1 << 20));
    yield piece;
    done += piece.length;
  }
}

const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
console.log(`writing ${(total / 1e9).toFixed(2)} GB to ${folder}`);
await writeSafetensors(`${folder}/model.safetensors`, {
  metadata: new Map([['format', 'pt']]),
  tensors,
  maxShardSize: 5e9,
  write: ({ shape, bytes }) => (shape.length === 1 ? ones : weights(bytes)),
});
