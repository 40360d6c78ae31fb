import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../formats/safetensors/index.js';
import { rowCount, type TensorSource } from '../../formats/tensor-source.js';
import { roundToFourBit } from '../../quant/bitsandbytes-four-bit.js';
import { blockFormat } from '../../quant/index.js';
import { openCheckpoint, openVisionCheckpoint } from '../checkpoint-source.js';
import { convertCheckpoint } from '../convert.js';
import { writeTinyCheckpoint } from '../testing/tiny-checkpoint.js';
import { type ExportModelOptions, exportBytes, exportModel } from './export-model.js';
import { openExportSource } from './export-source.js';

const NANO = 'models/nano-scout';
const EXPERTS = 3;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cria-export-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function tiny(): Promise<string> {
  const path = mkdtempSync(join(folder, 'tiny-'));
  await writeTinyCheckpoint(path, { config: { num_local_experts: EXPERTS } });
  return path;
}

async function exported(input: string, options: ExportModelOptions): Promise<string> {
  const out = join(folder, `out-${readdirSync(folder).length}`);
  const model = await openExportSource(input);
  const bytes = exportBytes(model, options);
  await exportModel(model, out, options);
  await model.close();
  const file = await openSafetensors(out);
  expect([...file.tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0)).toBe(bytes);
  await file.close();
  return out;
}

async function valuesOf(source: TensorSource, name: string): Promise<Float32Array> {
  const { type, shape, bytes } = source.tensors.get(name)!;
  const stored = new Uint8Array(bytes);
  await source.readRows(name, 0, rowCount(shape), stored);
  const values = new Float32Array(shape[0]! * rowCount(shape));
  blockFormat(type).decode(stored, values);
  return values;
}

function json(path: string) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

const FOUR_BITS = { kind: 'bnb-4bit', quantType: 'nf4', doubleQuantization: false } as const;

describe('exportModel', () => {
  it.each(['nf4', 'fp4'] as const)('rounds every linear layer, and nothing else: %s', async (quantType) => {
    const input = await tiny();
    const kept = new Set(['blk.1.ffn_down_exps.weight']);
    const out = await exported(input, {
      format: { ...FOUR_BITS, quantType, kept },
      experts: 'linear',
    });
    const original = await openCheckpoint(input);
    const rounded = await openCheckpoint(out);
    expect([...rounded.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const { name, shape } of original.tensors.values()) {
      const expected = await valuesOf(original, name);
      if (/_exps|_shexp|attn_(q|k|v|output)\.|ffn_(gate|up|down)\.weight/.test(name) && !kept.has(name)) {
        const matrix = expected.length / (shape[2] ?? 1);
        for (let start = 0; start < expected.length; start += matrix) {
          const module = expected.subarray(start, start + matrix);
          roundToFourBit(quantType, module, module);
        }
      }
      expect([name, await valuesOf(rounded, name)]).toEqual([name, expected]);
    }
    const { quantization_config: config } = json(join(out, 'config.json'));
    expect(config).toMatchObject({ load_in_4bit: true, bnb_4bit_quant_type: quantType });
    const prefix = 'language_model.model.layers';
    expect(config.llm_int8_skip_modules).toEqual([
      'lm_head',
      'language_model.lm_head',
      'language_model.model.embed_tokens',
      ...[0, 1, 2].map((expert) => `${prefix}.1.feed_forward.experts.${expert}.down_proj`),
      `${prefix}.1.feed_forward.router`,
      `${prefix}.3.feed_forward.router`,
    ]);
    await original.close();
    await rounded.close();
  });

  it('stays within a rounding of the original in 8 bits, and with double quantization', async () => {
    const input = await tiny();
    const original = await openCheckpoint(input);
    const name = 'blk.1.ffn_gate_exps.weight';
    const expected = await valuesOf(original, name);
    await original.close();
    for (const [format, tolerance] of [
      [{ kind: 'bnb-8bit' }, 0.125 / 127 / 2],
      [{ ...FOUR_BITS, doubleQuantization: true }, 0.125 * 0.16],
    ] as const) {
      const out = await exported(input, { format, experts: 'linear' });
      const rounded = await openCheckpoint(out);
      const values = await valuesOf(rounded, name);
      await rounded.close();
      const largest = values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
      expect(largest).toBeLessThan(tolerance * 1.001);
      expect(largest).toBeGreaterThan(tolerance / 4);
    }
  });

  it.each(['fused', 'linear'] as const)('gives a plain checkpoint back: %s experts', async (experts) => {
    const input = await tiny();
    const out = await exported(input, { format: { kind: 'safetensors' }, experts });
    const [original, again] = [await openCheckpoint(input), await openCheckpoint(out)];
    for (const name of original.tensors.keys()) {
      expect([name, await valuesOf(again, name)]).toEqual([name, await valuesOf(original, name)]);
    }
    await original.close();
    await again.close();
  });

  it('takes 16 bits out of what it wrote in 8', async () => {
    const eight = await exported(await tiny(), { format: { kind: 'bnb-8bit' }, experts: 'linear' });
    const out = await exported(eight, { format: { kind: 'safetensors' }, experts: 'fused' });
    expect(json(join(out, 'config.json')).quantization_config).toBeUndefined();
    const file = await openSafetensors(out);
    expect([...file.tensors.keys()].filter((name) => /SCB|experts\.\d/.test(name))).toEqual([]);
    await file.close();
  });

  it('goes on where it was stopped', async () => {
    const input = await tiny();
    const format = { ...FOUR_BITS, doubleQuantization: true };
    const whole = await exported(input, { format, experts: 'linear' });
    const out = join(folder, 'resumed');
    const model = await openExportSource(input);
    const controller = new AbortController();
    const options = { format, experts: 'linear', resumeKey: 'a' } as const;
    const stopped = exportModel(model, out, {
      ...options,
      signal: controller.signal,
      onProgress: (done, total) => done > total / 2 && controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ kind: 'cancelled' });
    expect(readdirSync(folder)).toContain('resumed.partial.json');
    let first = 0;
    await exportModel(model, out, {
      ...options,
      onProgress: (done, total) => {
        first ||= done / total;
      },
    });
    await model.close();
    expect(first).toBeGreaterThan(0.4);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
    expect(readdirSync(out)).toEqual(readdirSync(whole));
    for (const name of readdirSync(out)) {
      expect([name, readFileSync(join(out, name)).equals(readFileSync(join(whole, name)))]).toEqual([
        name,
        true,
      ]);
    }
  });

  it('names the tensor whose weights are no numbers, and leaves nothing', async () => {
    const input = await tiny();
    const file = join(input, 'model.safetensors');
    const opened = await openSafetensors(input);
    const { offset } = opened.tensors.get('language_model.model.layers.0.self_attn.q_proj.weight')!;
    await opened.close();
    const bytes = readFileSync(file);
    bytes.writeFloatLE(Number.NaN, offset);
    writeFileSync(file, bytes);
    const before = readdirSync(folder);
    const model = await openExportSource(input);
    await expect(
      exportModel(model, join(folder, 'out'), { format: FOUR_BITS, experts: 'linear', resumeKey: 'a' }),
    ).rejects.toMatchObject({
      code: 'non-finite-weights',
      message: expect.stringContaining('layers.0.self_attn.q_proj'),
    });
    await model.close();
    expect(readdirSync(folder)).toEqual(before);
  });

  it('puts a GGUF model and its vision tower together again', async () => {
    const [text, vision] = [join(folder, 'nano.gguf'), join(folder, 'mmproj.gguf')];
    await convertCheckpoint(NANO, text, { mmproj: vision });
    const model = await openExportSource(text, vision);
    const out = join(folder, 'nano');
    await exportModel(model, out, { format: { kind: 'safetensors' }, experts: 'fused' });
    await model.close();
    const [before, after] = [await openSafetensors(NANO), await openSafetensors(out)];
    expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    for (const { name, shape } of before.tensors.values()) {
      expect([name, after.tensors.get(name)!.shape]).toEqual([name, shape]);
    }
    await before.close();
    await after.close();
    const [original, again] = [await openVisionCheckpoint(NANO), await openVisionCheckpoint(out)];
    for (const name of original.tensors.keys()) {
      expect([name, await valuesOf(again, name)]).toEqual([name, await valuesOf(original, name)]);
    }
    const named = ({ metadata }: TensorSource) =>
      [...metadata].filter(([key]) => key !== 'general.name' && key !== 'general.file_type').sort();
    expect(named(again)).toEqual(named(original));
    await original.close();
    await again.close();
    const [config, written] = [json(join(NANO, 'config.json')), json(join(out, 'config.json'))];
    for (const key of ['boi_token_index', 'eoi_token_index', 'image_token_index']) {
      expect([key, written[key]]).toEqual([key, config[key]]);
    }
    for (const [key, value] of Object.entries(written.vision_config)) {
      if (key !== 'rope_theta') expect([key, value]).toEqual([key, config.vision_config[key]]);
    }
    const name = 'preprocessor_config.json';
    expect(json(join(out, name))).toEqual(json(join(NANO, name)));
    await expect(openExportSource(NANO, vision)).rejects.toMatchObject({ code: 'unexpected-option' });
  });

  it('keeps the vision tower, norms and routers of a multimodal model as they are', async () => {
    const out = await exported(NANO, {
      format: { ...FOUR_BITS, doubleQuantization: true },
      experts: 'linear',
    });
    const [before, after] = [await openSafetensors(NANO), await openSafetensors(out)];
    for (const { name, bytes, dtype, shape } of before.tensors.values()) {
      if (name.includes('_proj') && name.startsWith('language_model')) continue;
      expect(after.tensors.get(name)).toMatchObject({ dtype, shape, bytes });
      const [x, y] = [Buffer.alloc(bytes), Buffer.alloc(bytes)];
      await before.read(name, 0, x);
      await after.read(name, 0, y);
      expect([name, x.equals(y)]).toEqual([name, true]);
    }
    await before.close();
    await after.close();
    expect(readdirSync(out)).toContain('preprocessor_config.json');
    const { quantization_config: config } = json(join(out, 'config.json'));
    expect(config.llm_int8_skip_modules).toContain('vision_model');
  });
});
