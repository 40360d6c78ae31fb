import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/convert/checkpoint-source.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { ContinuousBatch } from '../src/model/continuous-batch.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { reusablePrefix } from '../src/model/sequence-model.js';
import { goldenFloats, goldenJson, largestDifference, NANO_SCOUT } from './golden.js';

const CHUNK = 16;

/** Ids of a text that is nobody's. */
function tokens(count: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 20;
  });
}

describe('several sequences', () => {
  let source: TensorSource;
  let one: Llama4Runtime;
  let four: Llama4Runtime;
  beforeAll(async () => {
    const opened = await openCheckpoint(NANO_SCOUT);
    const metadata = new Map(opened.metadata);
    metadata.set('llama4.attention.chunk_size', { type: 'uint32', value: CHUNK });
    const { path, tensors } = opened;
    source = {
      path,
      tensors,
      metadata,
      readRows: (...args) => opened.readRows(...args),
      close: () => opened.close(),
    };
    one = await Llama4Runtime.load(source, { threads: 2, contextSize: 128 });
    four = await Llama4Runtime.load(source, { threads: 2, contextSize: 128, parallel: 4, batchSize: 32 });
  });
  afterAll(async () => {
    await Promise.all([one.close(), four.close()]);
    await source.close();
  });

  it('computes each as if it were alone, whatever else is in the batch', async () => {
    const prompts = [tokens(40, 1), tokens(9, 2), tokens(23, 3), tokens(33, 4)];
    const next = prompts.map((_, i) => tokens(3, 10 + i));
    const alone = [];
    for (const [i, prompt] of prompts.entries()) {
      alone.push(await one.evaluate([...prompt, ...next[i]!], 0, 'all'));
    }
    const first = await four.evaluateBatch(
      prompts.map((prompt, sequence) => ({ sequence, tokens: prompt, position: 0, outputs: 'all' as const })),
    );
    const found = first.map((logits) => [logits]);
    for (let step = 0; step < 3; step++) {
      const parts = prompts.map((prompt, sequence) => ({
        sequence,
        tokens: [next[sequence]![step]!],
        position: prompt.length + step,
        outputs: 'last' as const,
      }));
      // Not always all of them, nor in the same order.
      const order = step === 1 ? [2, 0] : [3, 1, 0, 2];
      const answers = await four.evaluateBatch(order.map((sequence) => parts[sequence]!));
      const late = await four.evaluateBatch(parts.filter(({ sequence }) => !order.includes(sequence)));
      for (const [i, sequence] of order.entries()) found[sequence]!.push(answers[i]!);
      for (const [i, part] of parts.filter(({ sequence }) => !order.includes(sequence)).entries()) {
        found[part.sequence]!.push(late[i]!);
      }
    }
    for (const [i, logits] of found.entries()) {
      expect(
        largestDifference(
          logits.flatMap((part) => [...part]),
          alone[i]!,
        ),
      ).toBe(0);
    }
  });

  it('forgets one without touching the others', async () => {
    const view = new ContinuousBatch(four, 512).sequence(1);
    const [a, b] = [tokens(20, 5), tokens(20, 6)];
    await four.evaluateBatch([
      { sequence: 0, tokens: a, position: 0, outputs: 'none' },
      { sequence: 1, tokens: b, position: 0, outputs: 'none' },
    ]);
    await view.evaluate(tokens(4, 7), 3, 'none');
    expect([...four.cachedTokens(0)]).toEqual(a);
    expect([...four.cachedTokens(1)]).toEqual([...b.slice(0, 3), ...tokens(4, 7)]);
    expect(four.cachedTokens(2).length).toBeGreaterThan(0);
  });

  it('a second prompt with the same beginning computes only the rest', async () => {
    const shared = tokens(37, 8);
    const [first, second] = [
      [...shared, ...tokens(6, 9)],
      [...shared, ...tokens(5, 10)],
    ];
    await one.evaluate(first, 0, 'last');
    const reused = reusablePrefix(one.cachedTokens(0), second);
    expect(reused).toBe(37);
    const before = one.evaluatedTokens;
    const warm = await one.evaluate(second.slice(reused), reused, 'last');
    expect(one.evaluatedTokens - before).toBe(second.length - 37);
    expect(largestDifference(warm, await one.evaluate(second, 0, 'last'))).toBe(0);

    // Across the border of a chunk, whose start has to be computed again.
    const third = [...shared.slice(0, 20), ...tokens(4, 11)];
    const again = reusablePrefix(one.cachedTokens(0), third);
    const start = one.evaluatedTokens;
    await one.evaluate(third.slice(again), again, 'last');
    expect(again).toBe(20);
    expect(one.evaluatedTokens - start).toBe(4 + (20 % CHUNK));
  });

  it('never reuses a whole prompt, whose last logits are wanted', () => {
    expect(reusablePrefix([1, 2, 3], [1, 2, 3])).toBe(2);
    expect(reusablePrefix([1, 2, 3], [1, 2])).toBe(1);
    expect(reusablePrefix([1, 2, 3], [4])).toBe(0);
    expect(reusablePrefix([], [])).toBe(0);
  });

  it('refuses sequences there are not, and the same one twice', async () => {
    const part = { sequence: 4, tokens: [1], position: 0, outputs: 'none' } as const;
    await expect(four.evaluateBatch([part])).rejects.toMatchObject({ code: 'bad-sequence' });
    const twice = { ...part, sequence: 0 };
    await expect(four.evaluateBatch([twice, twice])).rejects.toMatchObject({ code: 'bad-sequence' });
    expect(() => four.cachedTokens(-1)).toThrow(/expected a sequence from 0 to 3/);
  });
});

describe('a cache of q8_0', () => {
  it('stays near the exact logits, for keys, values or both', async () => {
    const source = await openCheckpoint(NANO_SCOUT);
    const { ids } = goldenJson('short.json');
    const expected = goldenFloats('short.logits.f32');
    for (const cacheType of [
      'q8_0',
      { keys: 'q8_0', values: 'f16' },
      { keys: 'f32', values: 'q8_0' },
    ] as const) {
      const runtime = await Llama4Runtime.load(source, { threads: 2, contextSize: 256, cacheType });
      const logits = await runtime.evaluate(ids, 0, 'all');
      // A rounding may send a token to another expert, so that single logits move by more.
      const squares = logits.reduce((sum, x, i) => sum + (x - expected[i]!) ** 2, 0);
      expect(Math.sqrt(squares / logits.length)).toBeLessThan(0.03);
      await runtime.close();
    }
    await source.close();
  });
});
