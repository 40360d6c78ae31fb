import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/convert/checkpoint-source.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { loadFromSource, loadModel, type Model } from '../src/generate/load-model.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { goldenFloats, goldenJson, largestDifference, NANO_SCOUT } from './golden.js';

/** Float32 arithmetic in another order; transformers and llama.cpp differ from each other by about as much. */
const LOGIT_TOLERANCE = 1e-4;

function negativeLogLikelihoods(logits: Float32Array, ids: readonly number[], vocab: number): Float32Array {
  return Float32Array.from({ length: ids.length - 1 }, (_, i) => {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    const largest = row.reduce((a, b) => Math.max(a, b));
    const total = row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    return largest + Math.log(total) - row[ids[i + 1]!]!;
  });
}

describe('nano-scout against transformers', () => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(NANO_SCOUT, { threads: 2, kvType: 'f32', contextSize: 8448 });
  });
  afterAll(() => model.close());

  it('short prompt: every logit', async () => {
    const { ids } = goldenJson('short.json');
    const logits = await model.logits(ids, { positions: 'all' });
    expect(largestDifference(logits, goldenFloats('short.logits.f32'))).toBeLessThan(LOGIT_TOLERANCE);
  });

  it('1024 tokens: the likelihood of each', async () => {
    const { ids } = goldenJson('mid.json');
    const logits = await model.logits(ids, { positions: 'all' });
    const found = negativeLogLikelihoods(logits, ids, model.vocabSize);
    expect(largestDifference(found, goldenFloats('mid.nll.f32'))).toBeLessThan(LOGIT_TOLERANCE);
  });

  it('8300 tokens: around the border of the attention chunk', { timeout: 180_000 }, async () => {
    const { ids, positions } = goldenJson('long.json');
    const logits = await model.logits(ids, { positions });
    expect(largestDifference(logits, goldenFloats('long.logits.f32'))).toBeLessThan(LOGIT_TOLERANCE);
  });

  it('greedy continuations', async () => {
    const goldens = Object.entries(goldenJson('greedy.json')) as [
      string,
      { prompt: number[]; new: number[] },
    ][];
    for (const [text, { prompt, new: expected }] of goldens) {
      expect(model.tokenizer.encode(text, { addBos: true, parseSpecial: true })).toEqual(prompt);
      const found: number[] = [];
      const options = { temperature: 0, maxTokens: expected.length, stopTokens: [] };
      for await (const { id } of model.generate(prompt, options)) found.push(id);
      expect(found, text).toEqual(expected);
    }
  });

  it('keeps its place: parts, restarts and single tokens give the logits of one run', async () => {
    const { ids } = goldenJson('short.json');
    const whole = await model.logits(ids, { positions: 'all' });
    await model.evaluate([1, 2, 3], 0, 'none');
    await model.evaluate(ids.slice(0, 20), 0, 'none');
    const rest = [];
    for (let i = 20; i < ids.length; i++) rest.push(...(await model.evaluate([ids[i]], i, 'last')));
    expect(largestDifference(rest, whole.subarray(20 * model.vocabSize))).toBeLessThan(LOGIT_TOLERANCE);
  });

  it('refuses positions, tokens and lengths it cannot have', async () => {
    await model.evaluate([1, 2, 3], 0, 'none');
    await expect(model.evaluate([1], 4, 'last')).rejects.toMatchObject({ code: 'bad-position' });
    await expect(model.evaluate([4096], 0, 'last')).rejects.toMatchObject({ code: 'bad-token' });
    await expect(model.logits(new Int32Array(8449))).rejects.toMatchObject({ code: 'context-full' });
    await expect(model.evaluate([1, 2], 0, [1, 1])).rejects.toMatchObject({ code: 'bad-output-position' });
    const aborted = AbortSignal.abort();
    await expect(model.evaluate([1, 2], 0, 'last', aborted)).rejects.toMatchObject({ kind: 'cancelled' });
    expect(await model.evaluate([1, 2], 0, 'last')).toHaveLength(model.vocabSize);
  });
});

function sourceView(source: TensorSource): TensorSource {
  return {
    path: source.path,
    metadata: source.metadata,
    tensors: source.tensors,
    readRows: (...args) => source.readRows(...args),
    close: async () => {},
  };
}

describe('the engine', () => {
  let source: TensorSource;
  beforeAll(async () => {
    source = await openCheckpoint(NANO_SCOUT);
  });
  afterAll(() => source.close());
  const { ids } = goldenJson('short.json');
  const expected = goldenFloats('short.logits.f32');

  it('keeps half-precision keys and values by default, within their rounding', async () => {
    const model = await loadFromSource(source, { threads: 2 });
    expect(model.contextSize).toBe(8192);
    const logits = await model.logits(ids, { positions: 'all' });
    expect(largestDifference(logits, expected)).toBeLessThan(0.01);
    await model.close();
  });

  it('gives the same bits for any number of threads, batches aside', async () => {
    const results: Float32Array[] = [];
    for (const threads of [1, 2, 3, 5]) {
      const model = await loadFromSource(source, { threads });
      results.push(await model.logits(ids, { positions: 'all' }));
      await model.close();
    }
    for (const result of results)
      expect(Buffer.from(result.buffer).equals(Buffer.from(results[0]!.buffer))).toBe(true);
  });

  it('spreads a model over several memories without changing a bit', async () => {
    const options = { threads: 2, batchSize: 32, cacheType: 'f32' } as const;
    const one = await Llama4Runtime.load(source, options);
    const many = await Llama4Runtime.load(source, { ...options, arenaLimit: 16 * 2 ** 20, contextSize: 256 });
    const results = [await one.evaluate(ids, 0, 'all'), await many.evaluate(ids, 0, 'all')];
    expect(largestDifference(results[0]!, results[1]!)).toBe(0);
    expect(largestDifference(results[0]!, expected)).toBeLessThan(LOGIT_TOLERANCE);
    await Promise.all([one.close(), many.close()]);
  });

  it('goes back across the border of an attention chunk, where the chunked layers have overwritten their keys', async () => {
    const metadata = new Map(source.metadata);
    metadata.set('llama4.attention.chunk_size', { type: 'uint32', value: 16 });
    const chunked = { ...sourceView(source), metadata };
    const model = await loadFromSource(chunked, { threads: 2, kvType: 'f32' });
    const whole = await model.logits(ids, { positions: 'all' });
    expect(largestDifference(whole.subarray(0, 16 * 4096), expected.subarray(0, 16 * 4096))).toBeLessThan(
      LOGIT_TOLERANCE,
    );
    expect(largestDifference(whole, expected)).toBeGreaterThan(0.1);
    for (const position of [40, 33, 20, 16, 7]) {
      const again = await model.evaluate(ids.slice(position), position, 'all');
      expect(largestDifference(again, whole.subarray(position * 4096))).toBeLessThan(LOGIT_TOLERANCE);
    }
    await model.close();
  });

  it('gives a token the same bits alone and in a batch, over chunks and spans of attention', async () => {
    const metadata = new Map(source.metadata);
    metadata.set('llama4.attention.chunk_size', { type: 'uint32', value: 180 });
    const chunked = { ...sourceView(source), metadata };
    const runtime = await Llama4Runtime.load(chunked, { threads: 2, contextSize: 560, batchSize: 500 });
    const prompt = Array.from({ length: 560 }, (_, i) => (i * 37) % 4000);
    const together = await runtime.evaluate(prompt, 0, 'last');
    await runtime.evaluate(prompt.slice(0, 520), 0, 'none');
    let alone: Float32Array | undefined;
    for (let i = 520; i < 560; i++) alone = await runtime.evaluate([prompt[i]!], i, 'last');
    expect(largestDifference(alone!, together)).toBe(0);
    await runtime.close();
  });

  it('runs on plain SIMD', async () => {
    const model = await loadFromSource(source, { simd: 'plain', kvType: 'f32', threads: 2 });
    const logits = await model.logits(ids, { positions: 'all' });
    expect(largestDifference(logits, expected)).toBeLessThan(LOGIT_TOLERANCE);
    await model.close();
  });

  it('leaves the event loop free while a step runs', async () => {
    const model = await loadFromSource(source, { threads: 2 });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await model.logits(new Int32Array(1500).fill(65), { positions: 'last' });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(20);
    await model.close();
  });

  it('refuses to work after it was closed', async () => {
    const model = await loadFromSource(source, { threads: 1 });
    await model.close();
    await expect(model.logits([1])).rejects.toMatchObject({ code: 'model-closed' });
  });
});
