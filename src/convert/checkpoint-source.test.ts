import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { rowBytes } from '../formats/ggml-types.js';
import { type MetadataValue, rowCount, type TensorSource } from '../formats/tensor-source.js';
import { openCheckpoint, openVisionCheckpoint } from './checkpoint-source.js';
import { configFromHuggingFace, configFromMetadata } from './llama4-config.js';

const NANO = 'models/nano-scout';

interface Golden {
  metadata: Record<string, { type: string; value: unknown }>;
  tensors: Record<string, { type: string; shape: number[]; sha256: string }>;
}
const golden: Record<'bf16' | 'f32' | 'mmproj-f16', Golden> = JSON.parse(
  readFileSync('test/golden/nano-scout/gguf-tensors.json', 'utf8'),
);

/** Hash of a tensor read in pieces of `step` rows, which need not agree with any boundary. */
async function hashTensor(source: TensorSource, name: string, step: number): Promise<string> {
  const { shape, type } = source.tensors.get(name)!;
  const rows = rowCount(shape);
  const hash = createHash('sha256');
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const target = new Uint8Array(count * rowBytes(type, shape[0]!));
    await source.readRows(name, row, count, target);
    hash.update(target);
  }
  return hash.digest('hex');
}

async function describeTensors(source: TensorSource, step: number): Promise<[string, unknown][]> {
  const described: [string, unknown][] = [];
  for (const { name, type, shape } of source.tensors.values()) {
    described.push([name, { type, shape, sha256: await hashTensor(source, name, step) }]);
  }
  return described;
}

/** A metadata value as the golden file shows it: long lists as their length and the hash of their JSON. */
function described(value: MetadataValue): { type: string; value: unknown } {
  if (value.type !== 'array') return { type: value.type.toUpperCase(), value: value.value };
  const type = `ARRAY[${value.items.toUpperCase()}]`;
  if (value.value.length <= 64) return { type, value: value.value };
  const json = `[${value.value.map((item) => JSON.stringify(item)).join(', ')}]`;
  const sha256 = createHash('sha256').update(json).digest('hex');
  return { type, value: { length: value.value.length, sha256 } };
}

function goldenMetadata({ metadata }: Golden): [string, unknown][] {
  return Object.entries(metadata).filter(([key]) => key !== 'general.name');
}

const CRIA_KEYS = ['llama4.attention.chunk_size', 'llama4.use_qk_norm', 'llama4.rope.llama3_scaling'];

function writtenMetadata(source: TensorSource): [string, unknown][] {
  return [...source.metadata]
    .filter(([key]) => key !== 'general.name' && !CRIA_KEYS.includes(key))
    .map(([key, value]) => [key, described(value)]);
}

describe('openCheckpoint', () => {
  it.each([
    ['bf16', 1],
    ['bf16', 1000],
    ['f32', 77],
  ] as const)(
    "gives nano-scout's tensors as llama.cpp's converter writes them: %s, %i rows at a time",
    async (type, step) => {
      const source = await openCheckpoint(NANO, { type });
      expect(await describeTensors(source, step)).toEqual(Object.entries(golden[type].tensors));
      await source.close();
    },
  );

  it.each(['bf16', 'f32'] as const)("gives llama.cpp's metadata in llama.cpp's order: %s", async (type) => {
    const source = await openCheckpoint(NANO, { type });
    expect(writtenMetadata(source)).toEqual(goldenMetadata(golden[type]));
    expect(source.metadata.get('general.name')?.value).toBe('Nano Scout');
    await source.close();
  });

  it('keeps the type of the checkpoint unless told otherwise', async () => {
    const source = await openCheckpoint(NANO);
    expect(source.tensors.get('token_embd.weight')?.type).toBe('BF16');
    await source.close();
  });

  it('describes the same model as the configuration it came from', async () => {
    const source = await openCheckpoint(NANO);
    const json = JSON.parse(readFileSync(`${NANO}/config.json`, 'utf8'));
    const rmsEps = Math.fround(1e-5);
    expect(configFromMetadata(source.metadata, source.tensors)).toEqual({
      ...configFromHuggingFace(json),
      rmsEps,
    });
    await source.close();
  });
});

describe('openVisionCheckpoint', () => {
  it("gives nano-scout's vision part as llama.cpp's converter writes it, with ln2 under its own name", async () => {
    const source = await openVisionCheckpoint(NANO, { type: 'f16' });
    const expected = Object.entries(golden['mmproj-f16'].tensors).map(([name, tensor]) => [
      name.replace('.attn_post_norm.', '.ln2.'),
      tensor,
    ]);
    expect(await describeTensors(source, 7)).toEqual(expected);
    expect(writtenMetadata(source)).toEqual(goldenMetadata(golden['mmproj-f16']));
    await source.close();
  });
});
