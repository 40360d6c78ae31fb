import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openGguf } from '../formats/gguf/index.js';
import { rowCount, type TensorSource } from '../formats/tensor-source.js';
import { convertCheckpoint } from './convert.js';
import { configFromMetadata } from './llama4-config.js';
import { RowReader } from './row-reader.js';
import { planTensors } from './tensor-plan.js';
import {
  TINY_MAVERICK,
  type TinyOptions,
  tinyWeights,
  writeTinyCheckpoint,
} from './testing/tiny-checkpoint.js';

const NANO = 'models/nano-scout';
let folder: string;
let checkpoint: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cria-convert-'));
  checkpoint = join(folder, 'tiny');
  out = join(folder, 'out.gguf');
  mkdirSync(checkpoint);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function floats(source: TensorSource, name: string): Promise<Float32Array> {
  const { shape, type, bytes } = source.tensors.get(name)!;
  expect(type).toBe('F32');
  const target = new Uint8Array(bytes);
  await source.readRows(name, 0, rowCount(shape), target);
  return new Float32Array(target.buffer);
}

/** Converts the tiny checkpoint and hands over the result. */
async function converted(options: TinyOptions): Promise<TensorSource> {
  await writeTinyCheckpoint(checkpoint, options);
  await convertCheckpoint(checkpoint, out);
  return openGguf(out);
}

describe('convertCheckpoint', () => {
  it('converts a Maverick-like checkpoint: dense and expert layers in turn, no norm, no scaling', async () => {
    const file = await converted({ maxShardSize: 100_000 });
    expect(readdirSync(checkpoint)).toContain('model.safetensors.index.json');
    const config = configFromMetadata(file.metadata, file.tensors);
    expect(config.moeLayers).toEqual([false, true, false, true]);
    expect(config).toMatchObject({ useQkNorm: false, feedForwardLength: 40, expertFeedForwardLength: 24 });
    expect(file.tensors.has('rope_freqs.weight')).toBe(false);
    expect(file.tensors.get('blk.0.ffn_down.weight')?.shape).toEqual([40, 32]);
    expect(file.tensors.get('blk.1.ffn_down_exps.weight')?.shape).toEqual([24, 32, 128]);
    expect(file.metadata.get('tokenizer.ggml.tokens')?.value).toEqual(
      ['a', 'b', 'c', 'd', 'ab', 'cd', 'abcd', 'Ġ', '<|begin_of_text|>'].concat(
        Array.from({ length: 7 }, (_, i) => `[PAD${9 + i}]`),
      ),
    );

    const stored = tinyWeights(
      'language_model.model.layers.1.feed_forward.experts.gate_up_proj',
      128 * 32 * 48,
    );
    const up = await floats(file, 'blk.1.ffn_up_exps.weight');
    const expected = up.map((_, i) => {
      const [expert, row, column] = [Math.floor(i / (24 * 32)), Math.floor(i / 32) % 24, i % 32];
      return stored[(expert * 32 + column) * 48 + 24 + row]!;
    });
    expect(Buffer.compare(Buffer.from(up.buffer), Buffer.from(expected.buffer))).toBe(0);
    await file.close();
  });

  it('reads every naming and both spellings of RoPE alike', async () => {
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const old = await converted({ config: { rope_scaling: scaling } });
    const expected = {
      tensors: [...old.tensors.values()].map(({ name, shape }) => [name, shape]),
      metadata: old.metadata,
    };
    const divisors = await floats(old, 'rope_freqs.weight');
    expect([divisors[0], divisors.at(-1)]).toEqual([1, 8]);
    await old.close();
    for (const prefix of ['model.language_model.', ''] as const) {
      const rope = { ...scaling, rope_theta: 500000 };
      const config = { rope_theta: undefined, rope_scaling: undefined, rope_parameters: rope };
      const file = await converted({ prefix, config });
      expect([...file.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual(expected.tensors);
      expect(file.metadata).toEqual(expected.metadata);
      await file.close();
    }
  });

  it('stacks experts that are linear layers of their own', async () => {
    const file = await converted({ linearExperts: true });
    const gate = await floats(file, 'blk.3.ffn_gate_exps.weight');
    const name = 'language_model.model.layers.3.feed_forward.experts.77.gate_proj.weight';
    expect(gate.slice(77 * 24 * 32, 78 * 24 * 32)).toEqual(tinyWeights(name, 24 * 32));
    await file.close();
  });

  it('converts dense models and tied embeddings', async () => {
    const config = {
      num_local_experts: 0,
      moe_layers: [],
      interleave_moe_layer_step: 0,
      tie_word_embeddings: true,
    };
    const edit = (shapes: Map<string, number[]>) => shapes.delete('language_model.lm_head.weight');
    const file = await converted({ config, edit });
    expect(configFromMetadata(file.metadata, file.tensors).moeLayers).toEqual([false, false, false, false]);
    expect(file.tensors.has('output.weight')).toBe(false);
    await file.close();
  });

  it('records what GGUF has no key for, where it is unusual', async () => {
    const unusual = {
      floor_scale: 16,
      attn_scale: 0.2,
      attn_temperature_tuning: false,
      attention_chunk_size: 64,
    };
    const file = await converted({ config: { ...unusual, no_rope_layers: [0, 1, 1, 1] } });
    expect(configFromMetadata(file.metadata, file.tensors)).toMatchObject({
      floorScale: 16,
      attnScale: Math.fround(0.2),
      temperatureTuning: false,
      attentionChunkSize: 64,
      ropeLayers: [false, true, true, true],
    });
    await file.close();
  });

  it('writes 8-bit files, 16-bit floats where rows are no whole blocks, and F32 routers and norms', async () => {
    await writeTinyCheckpoint(checkpoint, { dtype: 'BF16' });
    await convertCheckpoint(checkpoint, out, { type: 'q8_0' });
    const file = await openGguf(out);
    const type = (name: string) => file.tensors.get(name)?.type;
    expect(type('blk.1.ffn_up_exps.weight')).toBe('Q8_0');
    expect(type('blk.1.ffn_down_exps.weight')).toBe('F16');
    expect(type('blk.1.ffn_gate_inp.weight')).toBe('F32');
    expect(type('blk.0.attn_norm.weight')).toBe('F32');
    await file.close();
  });

  it('writes parts and a vision file, and reports progress to the last byte', async () => {
    const reports: [number, number][] = [];
    const files = await convertCheckpoint(NANO, out, {
      mmproj: join(folder, 'mmproj.gguf'),
      splitMaxSize: 10e6,
      onProgress: (done, total) => reports.push([done, total]),
    });
    expect(files.map((path) => path.slice(folder.length + 1))).toEqual([
      'out-00001-of-00003.gguf',
      'out-00002-of-00003.gguf',
      'out-00003-of-00003.gguf',
      'mmproj.gguf',
    ]);
    expect(reports.at(-1)![0]).toBe(reports.at(-1)![1]);
    expect(reports.every(([done], i) => i === 0 || done > reports[i - 1]![0])).toBe(true);
    const vision = await openGguf(files[3]!);
    expect(vision.tensors.has('v.blk.2.ln2.bias')).toBe(true);
    await vision.close();
  });
});

describe('bad input', () => {
  const names = {
    query: 'language_model.model.layers.2.self_attn.q_proj.weight',
    experts: 'language_model.model.layers.1.feed_forward.experts.gate_up_proj',
  };

  it.each<[string, string, TinyOptions]>([
    ['another architecture', 'unsupported-architecture', { prefix: '', config: { model_type: 'qwen3' } }],
    ['an absurd size', 'bad-config', { config: { max_position_embeddings: 2 ** 40 } }],
    ['a vocabulary smaller than the tokens', 'bad-config', { config: { vocab_size: 5 } }],
    ['a missing tensor', 'missing-tensor', { edit: (shapes) => shapes.delete(names.query) }],
    ['a wrong shape', 'wrong-shape', { edit: (shapes) => shapes.set(names.query, [32, 16]) }],
    ['wrong experts', 'wrong-shape', { edit: (shapes) => shapes.set(names.experts, [128, 48, 32]) }],
    [
      'a tensor of no Llama 4',
      'unknown-tensor',
      { edit: (shapes) => shapes.set('language_model.extra', [1]) },
    ],
    ['a layer too many', 'unknown-tensor', { config: { num_hidden_layers: 4 }, edit: addLayer }],
  ])('refuses %s', async (_name, code, options) => {
    await writeTinyCheckpoint(checkpoint, options);
    await expectRefusal(code);
  });

  it('refuses folders without a model, without a tokenizer, and other tokenizers', async () => {
    await expectRefusal('no-checkpoint');
    await expect(convertCheckpoint(join(folder, 'nowhere'), out)).rejects.toMatchObject({
      code: 'no-checkpoint',
    });
    await writeTinyCheckpoint(checkpoint);
    const path = join(checkpoint, 'tokenizer.json');
    const tokenizer = readFileSync(path, 'utf8');
    writeFileSync(path, tokenizer.replace('{1,3}', '{1,2}'));
    await expectRefusal('unsupported-tokenizer');
    writeFileSync(path, `${tokenizer}}`);
    await expectRefusal('bad-json');
    rmSync(path);
    await expectRefusal('no-tokenizer');
  });

  it('refuses truncated and missing shards and an index that leaves the folder', async () => {
    await writeTinyCheckpoint(checkpoint, { maxShardSize: 100_000 });
    const shard = readdirSync(checkpoint).find((name) => name.startsWith('model-00002'))!;
    const index = join(checkpoint, 'model.safetensors.index.json');
    const text = readFileSync(index, 'utf8');
    writeFileSync(index, text.replace(shard, `../${shard}`));
    await expectRefusal('safetensors-shard-path');
    writeFileSync(index, text);
    truncateSync(join(checkpoint, shard), 50_000);
    await expectRefusal(/^safetensors-/);
    rmSync(join(checkpoint, shard));
    await expectRefusal('safetensors-missing-shard');
  });

  it('refuses a vision file of a text-only checkpoint, and a folder as output', async () => {
    await writeTinyCheckpoint(checkpoint);
    const mmproj = join(folder, 'mmproj.gguf');
    await expect(convertCheckpoint(checkpoint, out, { mmproj })).rejects.toMatchObject({ code: 'no-vision' });
    await expect(convertCheckpoint(checkpoint, folder)).rejects.toMatchObject({ code: 'not-a-file' });
    expect(readdirSync(folder)).toEqual(['tiny']);
  });

  it('names the tensor whose weights are not finite', async () => {
    await writeTinyCheckpoint(checkpoint, { dtype: 'BF16' });
    const path = join(checkpoint, 'model.safetensors');
    const bytes = readFileSync(path);
    // The last tensor of the file is the last norm in the order of names.
    bytes.writeUInt16LE(0x7fc0, bytes.length - 2);
    writeFileSync(path, bytes);
    const error = await expectRefusal('non-finite-weights');
    expect(error.message).toMatch(/^output_norm\.weight: .*NaN/);
  });

  it('leaves nothing when cancelled', async () => {
    const controller = new AbortController();
    const onProgress = (done: number) => done > 5e6 && controller.abort();
    const options = { onProgress, signal: controller.signal, mmproj: join(folder, 'mmproj.gguf') };
    await expect(convertCheckpoint(NANO, out, options)).rejects.toMatchObject({ kind: 'cancelled' });
    expect(readdirSync(folder)).toEqual(['tiny']);
  });

  function addLayer(shapes: Map<string, number[]>): void {
    shapes.set('language_model.model.layers.4.input_layernorm.weight', [TINY_MAVERICK.hidden_size as number]);
  }

  async function expectRefusal(code: string | RegExp): Promise<Error> {
    const error = await convertCheckpoint(checkpoint, out).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'CriaError', code: expect.stringMatching(code) });
    expect(error.message).not.toContain('\n');
    expect(readdirSync(folder)).toEqual(['tiny']);
    return error;
  }
});

describe('memory', () => {
  it('reads strips, never a whole tensor', async () => {
    // Shapes of Scout; the bytes are never there.
    const [width, hidden, experts] = [5120, 8192, 16];
    const stored = new Map([
      ['model.embed_tokens.weight', { dtype: 'BF16', shape: [202048, width] }],
      [
        'model.layers.0.feed_forward.experts.gate_up_proj',
        { dtype: 'BF16', shape: [experts, width, 2 * hidden] },
      ],
    ]);
    const expected = new Map([
      ['token_embd.weight', [width, 202048]],
      ['blk.0.ffn_gate_exps.weight', [width, hidden, experts]],
      ['blk.0.ffn_up_exps.weight', [width, hidden, experts]],
    ]);
    const planned = planTensors({
      folder,
      stored,
      part: 'text',
      expected,
      optional: new Set(),
      type: 'f16',
      scaledType: 'f16',
    });
    let largest = 0;
    const reader = new RowReader(async (_name, _offset, target) => {
      largest = Math.max(largest, target.length);
    });
    for (const [name, start] of [
      ['token_embd.weight', 202048 - 1000],
      ['blk.0.ffn_up_exps.weight', 100],
    ] as const) {
      await reader.readRows(planned.get(name)!, start, 1000, new Uint8Array(1000 * width * 2));
    }
    expect(largest).toBeLessThanOrEqual(4 * 2 ** 20);
  });
});
