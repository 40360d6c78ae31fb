import { mkdtemp, open, rm, stat, truncate, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../src/convert/convert.js';
import { openModel } from '../src/convert/open-model.js';
import { quantizeModel } from '../src/dynamic/quantize.js';
import { uniformPlan } from '../src/dynamic/type-plan.js';
import { splitGguf } from '../src/formats/gguf/index.js';
import { type LoadOptions, loadModel, type Model } from '../src/generate/load-model.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { goldenJson, NANO_SCOUT } from './golden.js';

/** nano-scout in BF16: 3 × 256 × 256 weights of 2 bytes, 8 in each of 6 layers. */
const EXPERT_BYTES = 3 * 2 * 256 ** 2;
const LAYERS = 6;
const EXPERTS = 8;
const PROMPT = 48;
const TOKENS = 64;

let folder: string;
let file: string;
let ids: number[];
let expected: Buffer;

/** The bytes of the logits of a prompt in one step and of tokens one by one. */
async function logitsOf(model: Pick<Model, 'evaluate'>): Promise<Buffer> {
  const parts = [await model.evaluate(ids.slice(0, PROMPT), 0, 'all')];
  for (let at = PROMPT; at < TOKENS; at++) parts.push(await model.evaluate([ids[at]!], at, 'last'));
  return Buffer.concat(parts.map(({ buffer }) => new Uint8Array(buffer)));
}

async function withModel<T>(
  options: LoadOptions,
  use: (model: Model) => Promise<T>,
  path = file,
): Promise<T> {
  const model = await loadModel(path, { threads: 2, contextSize: 128, ...options });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

const slotsEach = (count: number) => count * LAYERS * EXPERT_BYTES;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-experts-'));
  file = join(folder, 'nano.gguf');
  await convertCheckpoint(NANO_SCOUT, file, { type: 'bf16' });
  ids = goldenJson('mid.json').ids.slice(0, TOKENS);
  expected = await withModel({}, logitsOf);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('experts read as needed', () => {
  for (const [slots, threads, readAhead] of [
    [1, 1, false],
    [1, 2, true],
    [2, 3, true],
    [3, 2, false],
    [5, 3, true],
    [8, 1, true],
  ] as const) {
    it(`${slots} of ${EXPERTS} experts, ${threads} threads, read-ahead ${readAhead}: the same bits`, async () => {
      await withModel({ cacheExperts: slotsEach(slots), threads, readAhead }, async (model) => {
        expect(model.memory.expertCache).toBe(slotsEach(slots));
        expect(expected.equals(await logitsOf(model))).toBe(true);
        const { experts, requests, hits, predicted, readAhead: ahead, bytesRead } = model.expertCache!;
        expect(experts).toBe(LAYERS * EXPERTS);
        expect(model.expertCache!.slots).toBe(LAYERS * slots);
        expect(ahead > 0).toBe(readAhead);
        const waitedFor = requests - hits - predicted;
        expect(bytesRead).toBeGreaterThanOrEqual(waitedFor * EXPERT_BYTES);
        expect(bytesRead).toBeLessThanOrEqual((waitedFor + ahead) * EXPERT_BYTES);
        if (slots === EXPERTS) expect(bytesRead).toBeLessThanOrEqual(experts * EXPERT_BYTES);
      });
    });
  }

  it('gives what is left over to the first layers, and takes no more than all experts need', async () => {
    const cacheExperts = slotsEach(2) + 3 * EXPERT_BYTES - 1;
    await withModel({ cacheExperts }, async (model) => {
      expect(model.expertCache!.slots).toBe(2 * LAYERS + 2);
      expect(expected.equals(await logitsOf(model))).toBe(true);
    });
    await withModel({ cacheExperts: 2 ** 40 }, async (model) => {
      expect(model.expertCache!.slots).toBe(LAYERS * EXPERTS);
    });
  });

  it('has slots in several memories', async () => {
    const source = await openModel(file);
    const options = { threads: 2, contextSize: 128, batchSize: 64, arenaLimit: 16 * 2 ** 20 };
    const runtime = await Llama4Runtime.load(source, { ...options, cacheExperts: slotsEach(5) });
    await source.close();
    expect(expected.equals(await logitsOf(runtime))).toBe(true);
    await runtime.close();
  });

  it('has slots of other sizes where layers have other types', async () => {
    const mixed = join(folder, 'mixed.gguf');
    const source = await openModel(file);
    const plan = new Map(uniformPlan(source.tensors.values(), 'Q8_0'));
    plan.set('blk.1.ffn_down_exps.weight', 'Q4_0');
    plan.set('blk.4.ffn_gate_exps.weight', 'BF16');
    await quantizeModel(source, mixed, { plan, fileType: 7 });
    await source.close();
    const resident = await withModel({ repack: 'off' }, logitsOf, mixed);
    for (const cacheExperts of [1_400_000, 3_000_000]) {
      await withModel(
        { repack: 'off', cacheExperts },
        async (model) => expect(resident.equals(await logitsOf(model))).toBe(true),
        mixed,
      );
    }
  });

  it('reads the parts of a split file', async () => {
    const [first] = await splitGguf(file, join(folder, 'split'), { maxTensors: 20 });
    await withModel(
      { cacheExperts: slotsEach(2) },
      async (model) => expect(expected.equals(await logitsOf(model))).toBe(true),
      first,
    );
  });

  it('measures the same inputs for calibration', async () => {
    const collected = async (options: LoadOptions) =>
      withModel({ ...options, collect: true }, async (model) => {
        await logitsOf(model);
        return new Map(
          Array.from(model.collected(), ([name, { sums, counts }]) => [name, [...sums, ...counts]]),
        );
      });
    expect(await collected({ cacheExperts: slotsEach(3) })).toEqual(await collected({}));
  });
});

describe('refusals', () => {
  it('a cache without room for an expert of each layer', async () => {
    await expect(loadModel(file, { cacheExperts: slotsEach(1) - 1 })).rejects.toMatchObject({
      kind: 'usage',
      code: 'expert-cache-too-small',
      message: expect.stringContaining(`takes ${slotsEach(1)}`),
    });
  });

  it('a checkpoint folder, whose experts are not stored as the engine takes them', async () => {
    await expect(loadModel(NANO_SCOUT, { cacheExperts: slotsEach(2) })).rejects.toMatchObject({
      kind: 'unsupported',
      code: 'experts-not-in-file',
    });
  });

  for (const [what, change] of [
    ['cut short', async (path: string) => truncate(path, (await stat(path)).size - 2 ** 20)],
    [
      'overwritten',
      async (path: string) => {
        const handle = await open(path, 'r+');
        await handle.write(new Uint8Array(64), 0, 64, 10_000_000);
        await handle.close();
        await utimes(path, new Date(), new Date(0));
      },
    ],
  ] as const) {
    it(`a file that is ${what} while it is in use`, async () => {
      const path = join(folder, 'changing.gguf');
      await convertCheckpoint(NANO_SCOUT, path, { type: 'bf16' });
      await withModel(
        { cacheExperts: slotsEach(1) },
        async (model) => {
          await model.evaluate(ids.slice(0, 4), 0, 'last');
          await change(path);
          const refusal = { kind: 'bad-file', code: 'file-changed', message: expect.stringContaining(path) };
          await expect(model.evaluate(ids, 4, 'last')).rejects.toMatchObject(refusal);
          await expect(model.evaluate(ids.slice(0, 4), 0, 'last')).rejects.toMatchObject(refusal);
        },
        path,
      );
    });
  }
});
