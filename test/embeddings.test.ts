import { afterAll, beforeAll, expect, it } from 'vitest';
import { openModel } from '../src/convert/open-model.js';
import { loadModel, type Model } from '../src/generate/load-model.js';
import { NANO_SCOUT } from './golden.js';

let model: Model;
/** Rows of the output matrix as floats, [4096][256]. */
let output: Float32Array;

beforeAll(async () => {
  model = await loadModel(NANO_SCOUT, { threads: 2, contextSize: 600, batchSize: 128 });
  const source = await openModel(NANO_SCOUT);
  const { bytes, shape } = source.tensors.get('output.weight')!;
  const halves = new Uint8Array(bytes);
  await source.readRows('output.weight', 0, shape[1]!, halves);
  await source.close();
  const words = new Uint32Array(bytes / 2);
  for (let i = 0; i < words.length; i++) words[i] = (halves[2 * i]! << 16) | (halves[2 * i + 1]! << 24);
  output = new Float32Array(words.buffer);
});

afterAll(() => model.close());

it('is what the output matrix turns into logits', async () => {
  const embedding = await model.embed([300]);
  const logits = await model.logits([300]);
  for (const id of [0, 17, 4000]) {
    const row = output.subarray(id * embedding.length, (id + 1) * embedding.length);
    expect(row.reduce((sum, w, i) => sum + w * embedding[i]!, 0)).toBeCloseTo(logits[id]!, 3);
  }
});

it('is the mean over all tokens, however many steps they take', async () => {
  const ids = Array.from({ length: 500 }, (_, i) => (i * 37) % 4000);
  const whole = await model.embed(ids);
  const logits = await model.logits(ids, { positions: 'all' });
  const id = 1234;
  const mean = ids.reduce((sum, _, i) => sum + logits[i * model.vocabSize + id]!, 0) / ids.length;
  const row = output.subarray(id * whole.length, (id + 1) * whole.length);
  expect(row.reduce((sum, w, i) => sum + w * whole[i]!, 0)).toBeCloseTo(mean, 3);
});
