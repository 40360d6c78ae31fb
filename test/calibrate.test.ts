import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/convert/checkpoint-source.js';
import { calibrate } from '../src/dynamic/calibrate.js';
import { fitEntry, importanceOf, readImatrix } from '../src/formats/imatrix/index.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { loadFromSource, type Model } from '../src/generate/load-model.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { readVector } from '../src/model/load-weights.js';
import { goldenFloats, goldenJson, goldenPath, NANO_SCOUT } from './golden.js';

const WIDTH = 256;
const EXPERTS = 8;

let source: TensorSource;
beforeAll(async () => {
  source = await openCheckpoint(NANO_SCOUT);
});
afterAll(() => source.close());

describe('measured inputs of nano-scout', () => {
  const { ids } = goldenJson('short.json');
  let runtime: Llama4Runtime;
  beforeAll(async () => {
    runtime = await Llama4Runtime.load(source, {
      threads: 2,
      cacheType: 'f32',
      contextSize: 512,
      collect: true,
    });
    await runtime.evaluate(ids, 0, 'none');
  });
  afterAll(() => runtime.close());

  it.each([0, 3, 5])('attention of layer %i: the normed hidden states of transformers', async (layer) => {
    const rows = ids.length;
    const hidden = goldenFloats('short.hidden.f32').subarray(
      layer * rows * WIDTH,
      (layer + 1) * rows * WIDTH,
    );
    const weight = await readVector(source, source.tensors.get(`blk.${layer}.attn_norm.weight`)!);
    const expected = new Float64Array(WIDTH);
    for (let row = 0; row < rows; row++) {
      const x = hidden.subarray(row * WIDTH, (row + 1) * WIDTH);
      const rms = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / WIDTH + runtime.config.rmsEps);
      for (const [i, v] of x.entries()) expected[i]! += ((v / rms) * weight[i]!) ** 2;
    }
    for (const part of ['attn_q', 'attn_k', 'attn_v']) {
      const { sums, counts } = runtime.collected().get(`blk.${layer}.${part}.weight`)!;
      expect([...counts]).toEqual([rows]);
      sums.forEach((sum, i) => {
        expect(Math.abs(sum - expected[i]!)).toBeLessThan(1e-3 * expected[i]! + 1e-6);
      });
    }
  });

  it('every token reaches one expert per layer, and the output matrix without logits being asked for', () => {
    const collected = runtime.collected();
    expect(collected.size).toBe(6 * 11 + 1);
    expect([...collected.get('output.weight')!.counts]).toEqual([ids.length]);
    for (let layer = 0; layer < 6; layer++) {
      const { counts, sums } = collected.get(`blk.${layer}.ffn_up_exps.weight`)!;
      expect(counts).toHaveLength(EXPERTS);
      expect(counts.reduce((a, b) => a + b)).toBe(ids.length);
      // Experts see their input scaled by the router's sigmoid: less than the router itself sees.
      const router = collected.get(`blk.${layer}.ffn_gate_inp.weight`)!;
      for (let column = 0; column < WIDTH; column++) {
        let routed = 0;
        for (let expert = 0; expert < EXPERTS; expert++) routed += sums[expert * WIDTH + column]!;
        expect(routed).toBeLessThan(router.sums[column]!);
        expect(routed).toBeGreaterThan(0);
      }
    }
  });

  it('adds up over evaluations, counts no logit row twice, and starts afresh', async () => {
    const once = runtime.collected().get('output.weight')!.sums.slice();
    await runtime.evaluate(ids, 0, 'all');
    const twice = runtime.collected().get('output.weight')!;
    expect(twice.counts[0]).toBe(2 * ids.length);
    twice.sums.forEach((sum, i) => {
      expect(sum / once[i]!).toBeCloseTo(2, 12);
    });
    runtime.resetCollected();
    expect(twice.counts[0]).toBe(0);
    await runtime.evaluate(ids, 0, 'none');
    expect(runtime.collected().get('output.weight')!.sums).toEqual(once);
  });

  it('has the same bits for any number of threads, batches and memories', async () => {
    const reference = runtime.collected();
    for (const options of [
      { threads: 1 },
      { threads: 3 },
      { threads: 2, arenaLimit: 16 * 2 ** 20, batchSize: 32 },
    ]) {
      const other = await Llama4Runtime.load(source, {
        cacheType: 'f32',
        contextSize: 256,
        collect: true,
        ...options,
      });
      await other.evaluate(ids, 0, 'none');
      for (const [name, { sums, counts }] of other.collected()) {
        expect(counts).toEqual(reference.get(name)!.counts);
        const expected = reference.get(name)!.sums;
        const tolerance = options.batchSize === undefined ? 0 : 1e-4;
        sums.forEach((sum, i) => {
          expect(Math.abs(sum - expected[i]!)).toBeLessThanOrEqual(tolerance * (expected[i]! + 1e-3));
        });
      }
      await other.close();
    }
  });

  it('is not measured unless asked for', async () => {
    const plain = await Llama4Runtime.load(source, { threads: 1, contextSize: 64 });
    expect(plain.collected().size).toBe(0);
    expect(plain.bytes.compute).toBeLessThan(runtime.bytes.compute);
    await plain.close();
  });
});

describe('calibration of nano-scout', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadFromSource(source, { threads: 2, contextSize: 512, collect: true });
  });
  afterAll(() => model.close());

  it('resembles what llama-imatrix found on the whole text after a few windows', async () => {
    const text = readFileSync(join(NANO_SCOUT, 'calibration.txt'), 'utf8');
    const ids = model.tokenizer.encode(text, { addBos: true });
    const totals = await calibrate(model, [{ name: 'calibration.txt', ids }], { chunks: 12 });
    const found = totals.toImatrix(512);
    const golden = await readImatrix(goldenPath('imatrix.gguf'));
    expect([...found.entries.keys()].sort()).toEqual([...golden.entries.keys()]);
    for (const [name, expected] of golden.entries) {
      const matrices = expected.counts.length;
      const entry = fitEntry(name, found.entries.get(name)!, expected.sums.length / matrices, matrices);
      // Normed inputs settle soon; what comes out of attention or a gate is large for few tokens.
      const settles = /attn_[qkv]|gate_inp|(gate|up)_shexp|^output/.test(name);
      for (let matrix = 0; matrix < matrices; matrix++) {
        const ours = importanceOf(entry, matrix)!;
        expect(ours.every((value) => value > 0 && Number.isFinite(value))).toBe(true);
        const alike = correlation(ours, importanceOf(expected, matrix)!);
        expect(alike, name).toBeGreaterThan(settles ? 0.8 : 0.2);
      }
    }
  });
});

/** Pearson's, of the logarithms. */
function correlation(a: Float32Array, b: Float32Array): number {
  const logs = [a, b].map((values) => Array.from(values, Math.log));
  const [x, y] = logs.map((values) => {
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    return values.map((v) => v - mean);
  }) as [number[], number[]];
  const dot = (u: number[], v: number[]) => u.reduce((sum, value, i) => sum + value * v[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}
