import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openModel } from '../src/convert/open-model.js';
import { quantizeModel } from '../src/dynamic/quantize.js';
import { isQuantizable } from '../src/dynamic/type-plan.js';
import { runsHere, SIMD_BUILDS } from '../src/engine/testing/kernel-bench.js';
import type { GgmlType } from '../src/formats/ggml-types.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import type { RuntimeOptions } from '../src/model/runtime-options.js';
import { goldenJson, NANO_SCOUT } from './golden.js';

const LARGE: readonly GgmlType[] = ['Q4_K', 'Q6_K', 'Q8_0', 'Q5_K', 'Q4_0', 'Q5_1', 'Q4_1', 'Q5_0', 'MXFP4'];
/** Slow to encode, or coarse: for the small matrices of attention. */
const SMALL: readonly GgmlType[] = [
  ...(['Q2_K', 'Q3_K', 'IQ4_XS', 'IQ4_NL', 'IQ3_XXS', 'IQ3_S', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS'] as const),
  ...(['IQ1_M', 'IQ1_S', 'TQ2_0'] as const),
];

let folder: string;
let source: TensorSource;
let ids: number[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-repack-'));
  const original = await openModel(NANO_SCOUT);
  const plan = new Map<string, GgmlType>();
  let [large, small] = [0, 0];
  for (const tensor of original.tensors.values()) {
    if (!isQuantizable(tensor)) continue;
    const attention = /attn_/.test(tensor.name);
    plan.set(tensor.name, attention ? SMALL[small++ % SMALL.length]! : LARGE[large++ % LARGE.length]!);
  }
  const file = join(folder, 'mixed.gguf');
  await quantizeModel(original, file, { plan, fileType: 15 });
  await original.close();
  source = await openModel(file);
  ids = goldenJson('short.json').ids.slice(0, 10);
});
afterAll(async () => {
  await source?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Logits of a prompt in one step, then of its tokens one by one and two by two. */
async function logitsOf(options: RuntimeOptions): Promise<Float32Array> {
  const runtime = await Llama4Runtime.load(source, { contextSize: 64, batchSize: 64, ...options });
  const logits = [await runtime.evaluate(ids, 0, 'all')];
  for (const count of [1, 2]) {
    for (let at = 0; at + count <= ids.length; at += count) {
      logits.push(await runtime.evaluate(ids.slice(at, at + count), at, 'all'));
    }
  }
  await runtime.close();
  return Float32Array.from(logits.flatMap((part) => Array.from(part)));
}

function meanDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

it('computes the same from packed weights as from blocks, and the same bits in any number of threads', async () => {
  const blocks = await logitsOf({ repack: 'off', threads: 2 });
  // What rounding alone makes of it, where activations are at the border between two codes.
  const rounding = meanDifference(blocks, await logitsOf({ repack: 'off', threads: 2, simd: 'plain' }));
  const lean = await logitsOf({ threads: 1 });
  expect(meanDifference(lean, blocks)).toBeLessThan(0.01 + 3 * rounding);
  for (const threads of [2, 3, 4]) expect(sameBits(await logitsOf({ threads }), lean)).toBe(true);
  expect(sameBits(await logitsOf({ threads: 2, arenaLimit: 6 * 2 ** 20 }), lean)).toBe(true);
  for (const simd of SIMD_BUILDS.filter(runsHere)) {
    const other = await logitsOf({ repack: 'lean', threads: 2, simd });
    expect(meanDifference(other, lean)).toBeLessThan(0.01 + 3 * rounding);
  }
  const full = await logitsOf({ repack: 'full', threads: 2 });
  expect(meanDifference(full, lean)).toBeLessThan(0.01 + 3 * rounding);
});
