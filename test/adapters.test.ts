import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/convert/checkpoint-source.js';
import { convertCheckpoint } from '../src/convert/convert.js';
import type { LoraAdapter, LoraTensor } from '../src/convert/lora/adapter.js';
import { checkAdapter, normChecksum } from '../src/convert/lora/check-adapter.js';
import { convertAdapter } from '../src/convert/lora/convert-adapter.js';
import { writeGgufAdapter } from '../src/convert/lora/gguf-adapter.js';
import { mergeAdapters } from '../src/convert/lora/merge-adapters.js';
import { openAdapter } from '../src/convert/lora/open-adapter.js';
import { memoryAdapter } from '../src/convert/lora/testing/memory-adapter.js';
import { openGguf } from '../src/formats/gguf/index.js';
import { openSafetensors, type SafetensorsFile } from '../src/formats/safetensors/index.js';
import { type LoadOptions, loadModel, type Model } from '../src/generate/load-model.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { serveModel } from '../src/server/serve.js';
import { goldenFloats, goldenJson, goldenPath, largestDifference, NANO_SCOUT } from './golden.js';

const GOLDEN = goldenPath('lora');
const ids: number[] = goldenJson('short.json').ids.slice(0, 48);
const ENGINE = { threads: 2, contextSize: 128, kvType: 'f32' } as const;

let folder: string;
/** A GGUF adapter of every kind of weight. */
let everything: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-adapters-'));
  everything = join(folder, 'everything.gguf');
  await writeGgufAdapter(everything, await everyWeight());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function everyWeight(): Promise<LoraAdapter> {
  const source = await openCheckpoint(NANO_SCOUT);
  const norms = await normChecksum(source).finally(() => source.close());
  const tensors = [...source.tensors.values()].flatMap(({ name, shape }): LoraTensor[] => {
    if (shape.length < 2 || name === 'token_embd.weight') return [];
    const [columns, rows, experts = 1] = shape as [number, number, number?];
    return [{ name, columns, rows, rank: name.includes('ffn') ? 3 : 5, experts, scale: 1.5 }];
  });
  return memoryAdapter(tensors, { norms });
}

async function withModel<T>(options: LoadOptions, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(NANO_SCOUT, { ...ENGINE, ...options });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

const logitsOf = (options: LoadOptions) =>
  withModel(options, (model) => model.logits(ids, { positions: 'all' }));

describe('adapters at run time', () => {
  it('give the logits that PEFT gives, as a PEFT folder and as GGUF', async () => {
    const golden = goldenFloats('lora/short.logits.f32').subarray(0, ids.length * 4096);
    const gguf = join(folder, 'golden.gguf');
    await convertAdapter(GOLDEN, gguf, { base: NANO_SCOUT });
    const warnings: string[] = [];
    for (const path of [GOLDEN, gguf]) {
      const onWarning = (message: string) => warnings.push(message);
      const logits = await logitsOf({ adapters: [{ path }], onWarning });
      expect(largestDifference(logits, golden)).toBeLessThan(1e-3);
    }
    // PEFT writes no checksum of the base; converting with --base does.
    expect(warnings).toEqual([expect.stringContaining("('hf/nano')")]);
  });

  it('do not depend on threads, and change nothing at scale 0', async () => {
    const adapters = [{ path: everything, scale: 0.5 }, { path: GOLDEN }];
    const two = await logitsOf({ adapters });
    expect(largestDifference(two, await logitsOf({ adapters, threads: 3 }))).toBe(0);
    const base = await logitsOf({});
    expect(largestDifference(two, base)).toBeGreaterThan(0.1);
    const off = adapters.map(({ path }) => ({ path, scale: 0 }));
    expect(largestDifference(await logitsOf({ adapters: off }), base)).toBe(0);
  });

  it('do not depend on where weights and factors lie', async () => {
    const file = join(folder, 'nano.gguf');
    await convertCheckpoint(NANO_SCOUT, file);
    const source = await openGguf(file);
    const adapter = await openAdapter(everything);
    const found: Float32Array[] = [];
    // In arenas of 6 MiB the factors do not go beside the activations.
    const places = [
      {},
      { arenaLimit: 16 * 2 ** 20 },
      { arenaLimit: 6 * 2 ** 20 },
      { cacheExperts: 3_000_000 },
    ];
    for (const options of places) {
      const adapters = [{ adapter, scale: 0.5 }];
      const load = {
        threads: 2,
        contextSize: 64,
        batchSize: 32,
        repack: 'off',
        adapters,
        ...options,
      } as const;
      const runtime = await Llama4Runtime.load(source, load);
      found.push(await runtime.evaluate(ids, 0, 'all').finally(() => runtime.close()));
    }
    await source.close();
    await adapter.close();
    for (const logits of found) expect(largestDifference(logits, found[0]!)).toBe(0);
  });

  it('differ between sequences of a batch', async () => {
    const adapters = [{ path: everything, scale: 1 }, { path: GOLDEN }];
    const choices = [
      [0, 0],
      [1, 0],
      [0.5, 2],
    ];
    await withModel({ adapters, parallel: 3 }, async (model) => {
      const alone: Float32Array[] = [];
      for (const scales of choices) {
        await model.setAdapterScales(scales);
        alone.push(await model.logits(ids.slice(0, 20)));
      }
      for (const [sequence, scales] of choices.entries()) await model.setAdapterScales(scales, sequence);
      const parts = choices.map((_, sequence) => {
        return { sequence, tokens: ids.slice(0, 20), position: 0, outputs: 'last' as const };
      });
      const together = await model.evaluateBatch(parts);
      for (const [i, logits] of together.entries()) {
        expect(largestDifference(logits, alone[i]!)).toBeLessThan(1e-5);
      }
      expect(largestDifference(together[1]!, together[2]!)).toBeGreaterThan(0.01);
      // Other scales make what is cached useless.
      expect(model.cachedTokens(1).length).toBe(20);
      await model.setAdapterScales([1, 0], 1);
      expect(model.cachedTokens(1).length).toBe(20);
      await model.setAdapterScales([1, 1], 1);
      expect(model.cachedTokens(1).length).toBe(0);
      await expect(async () => model.setAdapterScales([1], 1)).rejects.toMatchObject({
        code: 'bad-adapter-scales',
      });
    });
  });

  it('for another model are refused, and those trained on another are doubted', async () => {
    const source = await openCheckpoint(NANO_SCOUT);
    const wider = { name: 'blk.0.attn_q.weight', columns: 512, rows: 256, rank: 2, experts: 1, scale: 1 };
    await expect(checkAdapter(memoryAdapter([wider]), source)).rejects.toMatchObject({
      code: 'adapter-mismatch',
      message: expect.stringContaining('blk.0.attn_q.weight'),
    });
    const right = { ...wider, columns: 256 };
    const warning = await checkAdapter(memoryAdapter([right], { name: 'other', norms: 'f00' }), source);
    expect(warning).toContain("another model ('other')");
    await source.close();
  });
});

describe('merged adapters', () => {
  const adapters = () => [
    { path: everything, scale: 0.5 },
    { path: GOLDEN, scale: 1 },
  ];

  async function logitsOfMerged(path: string): Promise<Float32Array> {
    const model = await loadModel(path, ENGINE);
    return model.logits(ids, { positions: 'all' }).finally(() => model.close());
  }

  it('give the logits that they give beside the weights', async () => {
    const beside = await logitsOf({ adapters: adapters() });
    const [exact, checkpoint] = [join(folder, 'exact.gguf'), join(folder, 'merged')];
    await mergeAdapters(NANO_SCOUT, exact, adapters(), { type: 'f32' });
    expect(largestDifference(await logitsOfMerged(exact), beside)).toBeLessThan(1e-4);
    await mergeAdapters(NANO_SCOUT, checkpoint, adapters());
    // Rounded to the checkpoint's 16 bits.
    expect(meanDifference(await logitsOfMerged(checkpoint), beside)).toBeLessThan(0.02);
    const [before, after] = [await openSafetensors(NANO_SCOUT), await openSafetensors(checkpoint)];
    await Promise.all([before.close(), after.close()]);
    const listed = ({ tensors }: SafetensorsFile) =>
      [...tensors.values()].map(({ name, dtype, shape }) => `${name} ${dtype} ${shape}`).sort();
    expect(listed(after)).toEqual(listed(before));
  });

  it('make 16-bit weights of quantized ones, where they change', async () => {
    const [base, merged] = [join(folder, 'q8.gguf'), join(folder, 'q8-merged.gguf')];
    await convertCheckpoint(NANO_SCOUT, base, { type: 'q8_0' });
    await mergeAdapters(base, merged, [{ path: GOLDEN }]);
    const source = await openGguf(merged);
    await source.close();
    const typeOf = (name: string) => source.tensors.get(name)?.type;
    expect(typeOf('blk.0.attn_q.weight')).toBe('BF16');
    expect(typeOf('output.weight')).toBe('Q8_0');
    await mergeAdapters(base, join(folder, 'q8-checkpoint'), [{ path: GOLDEN }]);
  });
});

function meanDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

describe('adapters of a server', () => {
  it('are chosen by request, others left out, and by default', async () => {
    await withModel(
      { adapters: [{ path: everything, scale: 0 }, { path: GOLDEN }], parallel: 2 },
      async (model) => {
        const server = await serveModel(model, {
          host: '127.0.0.1',
          port: 0,
          modelName: 'nano',
          images: { allowUrls: false, allowPrivate: false, maxBytes: 1 },
          queueLimit: 4,
          batchSize: 64,
          apiKeys: [],
          corsOrigins: [],
          maxBodyBytes: 1e6,
          onError: () => {},
        });
        const post = async (path: string, body: unknown) => {
          const headers = { 'content-type': 'application/json' };
          const response = await fetch(server.url + path, {
            method: 'POST',
            headers,
            body: JSON.stringify(body),
          });
          // biome-ignore lint/suspicious/noExplicitAny: each answer has a shape of its own, which the test states
          const answer: any = await response.json();
          return { status: response.status, body: answer };
        };
        const ask = async (lora?: object) => {
          const request = { prompt: 'Once upon a time', max_tokens: 12, temperature: 0, lora };
          return (await post('/v1/completions', request)).body.choices[0].text as string;
        };
        const write = async (scales: number[]) => {
          await model.setAdapterScales(scales);
          const prompt = model.tokenizer.encode('Once upon a time', { addBos: true });
          let text = '';
          for await (const piece of model.generate(prompt, { maxTokens: 12, temperature: 0 }))
            text += piece.text;
          return text;
        };
        try {
          const expected = [];
          for (const scales of [
            [0, 1],
            [1, 0],
            [0, 0],
          ])
            expected.push(await write(scales));
          expect(new Set(expected).size).toBeGreaterThan(1);
          const asked = await Promise.all([ask(), ask([{ id: 0, scale: 1 }]), ask([])]);
          expect(asked).toEqual(expected);
          expect((await post('/lora-adapters', [{ id: 0, scale: 1 }])).body).toEqual({ success: true });
          const list = await (await fetch(`${server.url}/lora-adapters`)).json();
          expect(list).toEqual([
            { id: 0, path: everything, scale: 1 },
            { id: 1, path: GOLDEN, scale: 0 },
          ]);
          expect(await ask()).toBe(expected[1]);
          const refused = await post('/lora-adapters', [{ id: 2, scale: 1 }]);
          expect(refused).toMatchObject({ status: 400, body: { error: { code: 'no-such-adapter' } } });
        } finally {
          await server.stop();
        }
      },
    );
  });
});
