import { type GgmlType, ggmlType, rowBytes } from '../../formats/ggml-types.js';
import {
  elementCount,
  type MetadataValue,
  type TensorInfo,
  type TensorSource,
} from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { uniformFloats } from '../initial-values.js';

export interface TinyModelOptions {
  readonly useQkNorm?: boolean;
  readonly expertUsedCount?: number;
  readonly tied?: boolean;
  /** Of matrices whose rows are whole blocks of it. */
  readonly type?: GgmlType;
  /** Give the values that `type` rounds to, as F32. */
  readonly rounded?: boolean;
  readonly width?: number;
}

const LAYERS = 3;
const VOCAB = 24;
const EXPERTS = 4;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD_DIM = 8;

/**
 * A random model in memory that has everything a Llama 4 can have: a dense layer and layers with experts, rotated
 * attention in chunks of five positions, and a layer without rotation whose temperature rises from position 3 on.
 */
export function tinyModel(options: TinyModelOptions = {}): TensorSource {
  const { useQkNorm = true, expertUsedCount = 2, tied = false, type = 'F32', width = 16 } = options;
  const inner = width + 8;
  const dense = width + 16;
  const integers = {
    block_count: LAYERS,
    embedding_length: width,
    'attention.head_count': HEADS,
    'attention.head_count_kv': KV_HEADS,
    'attention.key_length': HEAD_DIM,
    'attention.value_length': HEAD_DIM,
    'rope.dimension_count': HEAD_DIM,
    expert_count: EXPERTS,
    expert_used_count: expertUsedCount,
    expert_feed_forward_length: inner,
    feed_forward_length: dense,
    interleave_moe_layer_step: 2,
    vocab_size: VOCAB,
    context_length: 64,
    'attention.chunk_size': 5,
  };
  const floats = {
    'attention.layer_norm_rms_epsilon': 1e-5,
    'rope.freq_base': 100,
    'attention.temperature_length': 4,
    'attention.temperature_scale': 0.5,
  };
  const metadata = new Map<string, MetadataValue>([
    ['general.architecture', { type: 'string', value: 'llama4' }],
    ['llama4.use_qk_norm', { type: 'bool', value: useQkNorm }],
    ['llama4.rope.layers', { type: 'array', items: 'bool', value: [true, false, true] }],
    ...Object.entries(integers).map(
      ([key, value]) => [`llama4.${key}`, { type: 'uint32', value }] as [string, MetadataValue],
    ),
    ...Object.entries(floats).map(
      ([key, value]) => [`llama4.${key}`, { type: 'float32', value }] as [string, MetadataValue],
    ),
  ]);

  const shapes = new Map<string, number[]>([
    ['token_embd.weight', [width, VOCAB]],
    ['output_norm.weight', [width]],
  ]);
  if (!tied) shapes.set('output.weight', [width, VOCAB]);
  for (let layer = 0; layer < LAYERS; layer++) {
    const add = (part: string, ...shape: number[]) => shapes.set(`blk.${layer}.${part}.weight`, shape);
    add('attn_norm', width);
    add('ffn_norm', width);
    add('attn_q', width, HEADS * HEAD_DIM);
    add('attn_k', width, KV_HEADS * HEAD_DIM);
    add('attn_v', width, KV_HEADS * HEAD_DIM);
    add('attn_output', HEADS * HEAD_DIM, width);
    if (layer === 1) {
      add('ffn_gate', width, dense);
      add('ffn_up', width, dense);
      add('ffn_down', dense, width);
      continue;
    }
    add('ffn_gate_inp', width, EXPERTS);
    add('ffn_gate_exps', width, inner, EXPERTS);
    add('ffn_up_exps', width, inner, EXPERTS);
    add('ffn_down_exps', inner, width, EXPERTS);
    add('ffn_gate_shexp', width, inner);
    add('ffn_up_shexp', width, inner);
    add('ffn_down_shexp', inner, width);
  }

  const tensors = new Map<string, TensorInfo>();
  const contents = new Map<string, Uint8Array>();
  for (const [index, [name, shape]] of [...shapes].entries()) {
    const columns = shape[0]!;
    const values = uniformFloats(7, index, elementCount(shape), 2 / Math.sqrt(columns));
    if (shape.length === 1) for (const [i, value] of values.entries()) values[i] = 1 + value / 2;
    const encoded = shape.length > 1 && columns % ggmlType(type).blockSize === 0 ? type : 'F32';
    const rows = values.length / columns;
    const bytes = new Uint8Array(rows * rowBytes(encoded, columns));
    blockFormat(encoded).encode!(values, bytes, columns);
    if (options.rounded && encoded !== 'F32') blockFormat(encoded).decode(bytes, values);
    const stored = options.rounded ? new Uint8Array(values.buffer) : bytes;
    tensors.set(name, { name, type: options.rounded ? 'F32' : encoded, shape, bytes: stored.length });
    contents.set(name, stored);
  }
  return {
    path: 'tiny',
    metadata,
    tensors,
    async readRows(name, start, count, target) {
      const { type: stored, shape } = tensors.get(name)!;
      const bytes = rowBytes(stored, shape[0]!);
      target.set(contents.get(name)!.subarray(start * bytes, (start + count) * bytes));
    },
    async close() {},
  };
}

/** Sequences of random tokens, the last of each without a target. */
export function tinyBatch(lengths: readonly number[], seed = 1, firstSequence = 0) {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const draw = (stream: number) =>
    Int32Array.from(uniformFloats(seed, stream, total, 1), (x) => Math.floor(((x + 1) / 2) * VOCAB));
  const positions = Int32Array.from(lengths.flatMap((length) => [...Array(length).keys()]));
  const sequences = Int32Array.from(
    lengths.flatMap((length, i) => new Array<number>(length).fill(firstSequence + i)),
  );
  const ends = new Set(lengths.map((_, i) => lengths.slice(0, i + 1).reduce((sum, n) => sum + n, 0) - 1));
  return {
    ids: draw(0),
    sequences,
    positions,
    targets: draw(1).map((target, t) => (ends.has(t) ? -1 : target)),
    weights: uniformFloats(seed, 2, total, 0.5).map((x) => 1 + x),
  };
}
