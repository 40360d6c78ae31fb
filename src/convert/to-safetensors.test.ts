import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rowBytes } from '../formats/ggml-types.js';
import { openGguf } from '../formats/gguf/index.js';
import { rowCount, type TensorSource } from '../formats/tensor-source.js';
import { openCheckpoint } from './checkpoint-source.js';
import { convertCheckpoint } from './convert.js';
import { exportCheckpoint } from './to-safetensors.js';

const NANO = 'models/nano-scout';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cria-export-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** Type and hash of every tensor. */
async function contents(source: TensorSource): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const { name, shape, type } of source.tensors.values()) {
    const bytes = Buffer.alloc(rowCount(shape) * rowBytes(type, shape[0]!));
    await source.readRows(name, 0, rowCount(shape), bytes);
    all.set(name, `${type} ${createHash('sha256').update(bytes).digest('hex')}`);
  }
  return all;
}

function json(path: string) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

describe('exportCheckpoint', () => {
  it.each(['bf16', 'f16', 'f32'] as const)('gives back what was converted: %s', async (type) => {
    const original = await openCheckpoint(NANO, { type });
    const out = join(folder, 'nano');
    const files = await exportCheckpoint(original, out, { maxShardSize: 8e6 });
    expect(files.length).toBeGreaterThan(6);
    expect(await readdir(folder)).toEqual(['nano']);

    const again = await openCheckpoint(out, { type });
    expect(await contents(again)).toEqual(await contents(original));
    const named = (source: TensorSource) =>
      new Map([...source.metadata].filter(([key]) => key !== 'general.name'));
    expect(named(again)).toEqual(named(original));
    await original.close();
    await again.close();
  });

  it('writes the configuration transformers wrote', async () => {
    const source = await openCheckpoint(NANO);
    const out = join(folder, 'nano');
    await exportCheckpoint(source, out);
    await source.close();
    const { rope_parameters: rope, ...text } = json(join(NANO, 'config.json')).text_config;
    const written = json(join(out, 'config.json'));
    for (const key of Object.keys(text)) {
      if (key in written && key !== 'model_type') expect([key, written[key]]).toEqual([key, text[key]]);
    }
    const { rope_theta: theta, ...scaling } = rope;
    expect([written.rope_theta, written.rope_scaling]).toEqual([theta, scaling]);
    expect(json(join(out, 'generation_config.json'))).toEqual(json(join(NANO, 'generation_config.json')));
    const { model, ...rest } = json(join(NANO, 'tokenizer.json'));
    expect(json(join(out, 'tokenizer.json'))).toEqual({ ...rest, model });
  });

  it("recognizes Scout's RoPE scaling in files that hold only the divisors", async () => {
    const source = await openCheckpoint(NANO);
    const metadata = new Map(source.metadata);
    metadata.delete('llama4.rope.llama3_scaling');
    const bare: TensorSource = {
      path: source.path,
      metadata,
      tensors: source.tensors,
      readRows: (...args) => source.readRows(...args),
      close: () => source.close(),
    };
    const out = join(folder, 'nano');
    await exportCheckpoint(bare, out);
    await bare.close();
    expect(json(join(out, 'config.json')).rope_scaling.factor).toBe(16);
  });

  it('refuses quantized files, folders in use, and leaves nothing when cancelled', async () => {
    const file = join(folder, 'q8.gguf');
    await convertCheckpoint(NANO, file, { type: 'q8_0' });
    const quantized = await openGguf(file);
    const out = join(folder, 'nano');
    await expect(exportCheckpoint(quantized, out)).rejects.toMatchObject({ code: 'quantized-input' });
    await quantized.close();

    const source = await openCheckpoint(NANO);
    await expect(exportCheckpoint(source, folder)).rejects.toMatchObject({ code: 'folder-not-empty' });
    const controller = new AbortController();
    const onProgress = (done: number) => done > 1e6 && controller.abort();
    const cancelled = exportCheckpoint(source, out, { onProgress, signal: controller.signal });
    await expect(cancelled).rejects.toMatchObject({ kind: 'cancelled' });
    expect(await readdir(folder)).toEqual(['q8.gguf']);
    await source.close();
  });
});
