import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempFolder } from '../src/base/testing/temp-folder.js';
import { Conversation, chatFormat } from '../src/chat/index.js';
import { openVisionCheckpoint } from '../src/convert/checkpoint-source.js';
import { convertCheckpoint } from '../src/convert/convert.js';
import { openModel } from '../src/convert/open-model.js';
import { openVision, rightlyNamed } from '../src/convert/open-vision.js';
import { rowBytes } from '../src/formats/ggml-types.js';
import { elementCount, type TensorInfo, type TensorSource } from '../src/formats/tensor-source.js';
import { loadFromSource, loadModel } from '../src/generate/load-model.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { decodePicture } from '../src/model/vision/decode-picture.js';
import { type Tiles, tilesOf } from '../src/model/vision/tiles.js';
import {
  type EncodedTiles,
  VisionRuntime,
  type VisionRuntimeOptions,
} from '../src/model/vision/vision-runtime.js';
import { encodeQ8_0 } from '../src/quant/encode/q8.js';
import { blockFormat } from '../src/quant/index.js';
import { goldenFloats, goldenJson, goldenPath, largestDifference, NANO_SCOUT } from './golden.js';

const PICTURES = ['image-square', 'image-wide', 'image-tall'];

/** The issue asks for 1e-3; float32 arithmetic in another order leaves far less. */
const FEATURE_TOLERANCE = 2e-5;
const LOGIT_TOLERANCE = 2e-4;

async function goldenTiles(name: string): Promise<Tiles> {
  const options = { side: 112, maxTiles: 16, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  return tilesOf(await decodePicture(readFileSync(goldenPath(`${name}.png`))), options);
}

describe('the vision tower against transformers', () => {
  let folder: string;
  let checkpoint: TensorSource;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cria-vision-'));
    checkpoint = await openVisionCheckpoint(NANO_SCOUT);
    const mmproj = join(folder, 'mmproj.gguf');
    await convertCheckpoint(NANO_SCOUT, join(folder, 'text.gguf'), { mmproj });
  });
  afterAll(async () => {
    await checkpoint.close();
    rmSync(folder, { recursive: true });
  });

  async function encode(
    source: TensorSource,
    names: readonly string[],
    options: VisionRuntimeOptions = { threads: 2 },
  ): Promise<EncodedTiles[]> {
    const tower = await VisionRuntime.load(source, options);
    const results: EncodedTiles[] = [];
    for (const name of names) results.push(await tower.encode(await goldenTiles(name)));
    await tower.close();
    return results;
  }

  it('features of every picture, from a checkpoint folder', async () => {
    const results = await encode(checkpoint, PICTURES);
    for (const [i, { features }] of results.entries()) {
      const golden = goldenFloats(`${PICTURES[i]}.features.f32`);
      expect(largestDifference(features, golden)).toBeLessThan(FEATURE_TOLERANCE);
    }
  });

  it('the same from an mmproj file, whatever its second norm is called, and for any threads and memories', async () => {
    const source = await openVision(join(folder, 'mmproj.gguf'));
    const [expected] = await encode(checkpoint, ['image-tall']);
    const misnamed = await openVision(join(folder, 'mmproj.gguf'));
    for (const [from, options] of [
      [source, { threads: 1 }],
      [source, { threads: 3, arenaLimit: 48 * 2 ** 20 }],
      [rightlyNamed(withNormsMisnamed(misnamed)), { threads: 2 }],
    ] as const) {
      const [found] = await encode(from, ['image-tall'], options);
      expect(largestDifference(found!.rows, expected!.rows)).toBe(0);
    }
    await Promise.all([source.close(), misnamed.close()]);
  });

  it('close to that from eight-bit weights', async () => {
    const [expected] = await encode(checkpoint, ['image-tall']);
    const [found] = await encode(inEightBits(checkpoint), ['image-tall']);
    const size = Math.sqrt(expected!.rows.reduce((sum, value) => sum + value ** 2, 0));
    const error = Math.sqrt(
      expected!.rows.reduce((sum, value, i) => sum + (value - found!.rows[i]!) ** 2, 0),
    );
    expect(error / size).toBeLessThan(0.05);
    expect(error).toBeGreaterThan(0);
  });
});

describe('a chat with pictures', () => {
  it('has the tokens and logits of transformers, and encodes a picture once', async () => {
    const model = await loadModel(NANO_SCOUT, { threads: 2, kvType: 'f32', contextSize: 512 });
    expect(model.hasVision).toBe(true);
    const format = chatFormat(model);
    for (const { image: name, prompt } of goldenJson('manifest.json').files.vision) {
      const image = await model.encodeImage(readFileSync(goldenPath(name)));
      const question = model.tokenizer.decode(prompt.ids.slice(prompt.ids.indexOf(4078) + 1, -7));
      const conversation = new Conversation();
      conversation.addUser(question, [image]);
      const ids = format.encode(conversation.chat);
      expect(ids.map((id) => (id < 0 ? 4082 : id))).toEqual(prompt.ids);
      const positions = Array.from({ length: 16 }, (_, i) => ids.length - 16 + i);
      const golden = goldenFloats(name.replace('.png', '.logits.f32'));
      expect(largestDifference(await model.logits(ids, { positions }), golden)).toBeLessThan(LOGIT_TOLERANCE);
      expect(await model.encodeImage(readFileSync(goldenPath(name)))).toBe(image);
    }
    const [first, second] = [PICTURES[0], PICTURES[1]].map((name) => readFileSync(goldenPath(`${name}.png`)));
    const [a, b] = [await model.encodeImage(first!), await model.encodeImage(second!)];
    expect(new Set([...a.ids, ...b.ids].filter((id) => id < 0)).size).toBe(16 + 112);
    await model.close();
  });

  it('stands in several sequences at once, and is computed again where a chunk was overwritten', async () => {
    const text = await openModel(NANO_SCOUT);
    const metadata = new Map(text.metadata);
    metadata.set('llama4.attention.chunk_size', { type: 'uint32', value: 16 });
    const chunked = { ...viewOf(text), metadata };
    const options = { threads: 2, kvType: 'f32', contextSize: 128, parallel: 2, mmproj: NANO_SCOUT } as const;
    const model = await loadFromSource(chunked, options);
    const { ids: image } = await model.encodeImage(readFileSync(goldenPath('image-square.png')));
    const [a, b] = [
      [4064, 7, ...image, 8, 9, 10],
      [4064, ...image, 300, ...image],
    ];
    const whole = await model.logits(a!, { positions: 'all' });
    for (const position of [20, 16, 5]) {
      const again = await model.evaluate(a!.slice(position), position, 'all');
      const expected = whole.subarray(position * model.vocabSize);
      expect(largestDifference(again, expected)).toBeLessThan(LOGIT_TOLERANCE);
    }
    const other = await model.logits(b!, { positions: 'all' });
    const parts = [b!, a!].map((tokens, sequence) => ({
      sequence,
      tokens,
      position: 0,
      outputs: 'all' as const,
    }));
    const [first, second] = await model.evaluateBatch(parts);
    expect(largestDifference(first!, other)).toBeLessThan(LOGIT_TOLERANCE);
    expect(largestDifference(second!, whole)).toBeLessThan(LOGIT_TOLERANCE);
    await Promise.all([model.close(), text.close()]);
  });

  it('is refused without a tower, with that of another model, and for what is no picture', async () => {
    const folder = await tempFolder();
    const [text, mmproj] = [join(folder, 'text.gguf'), join(folder, 'mmproj.gguf')];
    await convertCheckpoint(NANO_SCOUT, text, { mmproj });
    const blind = await loadModel(text, { threads: 1, contextSize: 64 });
    expect(blind.hasVision).toBe(false);
    await expect(blind.encodeImage(new Uint8Array(9))).rejects.toMatchObject({ code: 'no-mmproj' });
    await blind.close();
    await expect(loadModel(text, { mmproj: text })).rejects.toMatchObject({ code: 'not-a-vision-file' });
    const model = await loadModel(text, { mmproj, threads: 1, contextSize: 64 });
    await expect(model.encodeImage(new Uint8Array(9))).rejects.toMatchObject({ code: 'not-a-picture' });
    const cancelled = { signal: AbortSignal.abort() };
    const picture = readFileSync(goldenPath('image-wide.png'));
    await expect(model.encodeImage(picture, cancelled)).rejects.toMatchObject({ kind: 'cancelled' });
    expect((await model.encodeImage(picture)).grid).toEqual({ rows: 2, columns: 3 });
    await model.close();
  });
});

/** A source whose parts can be replaced; closing it does nothing. */
function viewOf(source: TensorSource): TensorSource {
  return {
    path: source.path,
    metadata: source.metadata,
    tensors: source.tensors,
    readRows: (...args) => source.readRows(...args),
    close: async () => {},
  };
}

/** As llama.cpp v0.5.0 converts. */
function withNormsMisnamed(source: TensorSource): TensorSource {
  const wrong = (name: string) => name.replace('.ln2.', '.attn_post_norm.');
  const right = (name: string) => name.replace('.attn_post_norm.', '.ln2.');
  return {
    ...viewOf(source),
    tensors: new Map(
      [...source.tensors.values()].map((info) => [wrong(info.name), { ...info, name: wrong(info.name) }]),
    ),
    readRows: (name, ...rest) => source.readRows(right(name), ...rest),
  };
}

describe('pictures in prompts against transformers', () => {
  const manifest = goldenJson('manifest.json');

  it('logits of the three picture prompts, whole and from a cached prefix', async () => {
    const checkpoint = await openVisionCheckpoint(NANO_SCOUT);
    const text = await openModel(NANO_SCOUT);
    const tower = await VisionRuntime.load(checkpoint, { threads: 2 });
    const model = await Llama4Runtime.load(text, {
      threads: 2,
      cacheType: 'f32',
      contextSize: 256,
      batchSize: 64,
    });
    for (const name of PICTURES) {
      const { ids } = manifest.files.vision.find((v: { image: string }) => v.image === `${name}.png`).prompt;
      const { rows } = await tower.encode(await goldenTiles(name));
      const virtual = model.embeddings.add(rows);
      const prompt = ids.map((id: number) => (id === 4082 ? virtual.shift() : id));
      const golden = goldenFloats(`${name}.logits.f32`);
      const last16 = Array.from({ length: 16 }, (_, i) => prompt.length - 16 + i);
      const logits = await model.evaluate(prompt, 0, last16);
      expect(largestDifference(logits, golden)).toBeLessThan(LOGIT_TOLERANCE);
      const again = await model.evaluate(
        prompt.slice(10),
        10,
        last16.map((i) => i - 10),
      );
      expect(largestDifference(again, golden)).toBeLessThan(LOGIT_TOLERANCE);
    }
    await expect(model.evaluate([5, -100_000], 0, 'last')).rejects.toMatchObject({ code: 'unknown-picture' });
    await Promise.all([model.close(), tower.close(), text.close(), checkpoint.close()]);
  });
});

/** The same with the weights of the blocks and the adapter as Q8_0. */
function inEightBits(source: TensorSource): TensorSource {
  const tensors = new Map([...source.tensors].map(([name, info]) => [name, eightBits(info)]));
  return {
    ...viewOf(source),
    tensors,
    readRows: async (name, start, count, target) => {
      const stored = source.tensors.get(name)!;
      if (tensors.get(name) === stored) return source.readRows(name, start, count, target);
      const rows = new Uint8Array(count * rowBytes(stored.type, stored.shape[0]!));
      await source.readRows(name, start, count, rows);
      const floats = new Float32Array(count * stored.shape[0]!);
      blockFormat(stored.type).decode(rows, floats);
      encodeQ8_0(floats, target, stored.shape[0]!);
    },
  };
}

function eightBits(info: TensorInfo): TensorInfo {
  const columns = info.shape[0]!;
  const isWeight = /^v\.blk.*(attn|ffn).*weight$|^mm\./.test(info.name);
  const bytes = (rowBytes('Q8_0', 32) * elementCount(info.shape)) / 32;
  return isWeight && columns % 32 === 0 ? { ...info, type: 'Q8_0', bytes } : info;
}
