import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContinuousBatch, shareStep } from './continuous-batch.js';
import type { SequenceModel, SequencePart } from './sequence-model.js';
import { outputRows } from './sequence-state.js';

const VOCAB = 2;

/** Answers with a sum of the sequence's tokens so far, so that a mix-up shows; notes the steps it was asked for. */
class AddingModel implements SequenceModel {
  readonly vocabSize = VOCAB;
  readonly contextSize = 10_000;
  readonly sequences = 8;
  readonly steps: SequencePart[][] = [];
  readonly #held = Array.from({ length: 8 }, () => [] as number[]);

  async evaluate(): Promise<Float32Array> {
    throw new Error('unused');
  }

  async evaluateBatch(parts: readonly SequencePart[]): Promise<Float32Array[]> {
    for (const { tokens } of parts) if (Array.from(tokens).includes(666)) throw new Error('bad token');
    this.steps.push([...parts]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    return parts.map(({ sequence, tokens, position, outputs }) => {
      const held = this.#held[sequence]!;
      expect(position).toBeLessThanOrEqual(held.length);
      held.length = position;
      const rows = outputRows(outputs, tokens.length);
      held.push(...Array.from(tokens));
      return Float32Array.from(
        rows.flatMap((row) => [sequence, held.slice(0, position + row + 1).reduce((a, b) => a + b, 0)]),
      );
    });
  }

  cachedTokens(sequence: number): Int32Array {
    return Int32Array.from(this.#held[sequence]!);
  }
}

const ones = (count: number) => new Array<number>(count).fill(1);

describe('continuous batching', () => {
  it('computes what several ask for at once in one step', async () => {
    const model = new AddingModel();
    const batch = new ContinuousBatch(model, 512);
    const answers = await Promise.all([0, 1, 2].map((i) => batch.sequence(i).evaluate([i, 10], 0, 'last')));
    expect(answers.map((row) => [...row])).toEqual([
      [0, 10],
      [1, 11],
      [2, 12],
    ]);
    expect(model.steps).toHaveLength(1);
  });

  it('gives all rows of a run that takes several steps', async () => {
    const model = new AddingModel();
    const logits = await new ContinuousBatch(model, 8).sequence(3).evaluate(ones(20), 0, 'all');
    expect([...logits]).toEqual(Array.from({ length: 20 }, (_, i) => [3, i + 1]).flat());
    expect(model.steps.map(([part]) => part!.tokens.length)).toEqual([8, 8, 4]);
  });

  it('lets a long prompt hold nobody up', async () => {
    const model = new AddingModel();
    const batch = new ContinuousBatch(model, 512);
    const prompt = batch.sequence(0).evaluate(ones(2000), 0, 'last');
    const other = batch.sequence(1);
    for (let i = 0; i < 4; i++) await other.evaluate([5], i, 'last');
    expect(model.steps).toHaveLength(4);
    expect(model.steps.every((parts) => parts.some(({ sequence }) => sequence === 0))).toBe(true);
    expect([...(await prompt)]).toEqual([0, 2000]);
  });

  it('stops a cancelled run between steps, and goes on with the others', async () => {
    const model = new AddingModel();
    const batch = new ContinuousBatch(model, 16);
    const abort = new AbortController();
    const cancelled = batch.sequence(0).evaluate(ones(100_000), 0, 'last', abort.signal);
    const kept = batch.sequence(1).evaluate(ones(40), 0, 'last');
    setTimeout(() => abort.abort(), 5);
    await expect(cancelled).rejects.toMatchObject({ kind: 'cancelled' });
    expect([...(await kept)]).toEqual([1, 40]);
    expect(model.cachedTokens(0).length).toBeLessThan(100_000);
  });

  it('fails the run that is wrong and no other', async () => {
    const batch = new ContinuousBatch(new AddingModel(), 64);
    const bad = batch.sequence(0).evaluate([666], 0, 'last');
    const good = batch.sequence(1).evaluate([4], 0, 'last');
    await expect(bad).rejects.toThrow('bad token');
    expect([...(await good)]).toEqual([1, 4]);
  });

  it('shares a step without exceeding it, and always gets on', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 600 }),
        (remaining, batchSize) => {
          const shares = shareStep(remaining, batchSize);
          const total = shares.reduce((a, b) => a + b, 0);
          expect(total).toBeGreaterThan(0);
          expect(total).toBeLessThanOrEqual(batchSize);
          for (const [i, share] of shares.entries()) expect(share).toBeLessThanOrEqual(remaining[i]!);
        },
      ),
    );
  });
});
