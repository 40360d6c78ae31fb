import fc from 'fast-check';
import { expect, it } from 'vitest';
import { planEpoch } from './epoch-plan.js';
import { packExamples } from './packing.js';
import { hash32, shuffle } from './shuffle.js';
import { validationRows } from './split.js';

const lengths = fc.array(fc.integer({ min: 1, max: 64 }), { maxLength: 3000 });

it('puts every example into one batch within the limits', () => {
  fc.assert(
    fc.property(
      lengths,
      fc.integer({ min: 64, max: 200 }),
      fc.integer({ min: 1, max: 9 }),
      (tokens, maxTokens, maxExamples) => {
        const order = Array.from(tokens, (_, i) => i);
        const batches = packExamples(order, (example) => tokens[example]!, { maxTokens, maxExamples });
        expect(batches.flat().sort((a, b) => a - b)).toEqual(order);
        for (const batch of batches) {
          expect(batch.length).toBeLessThanOrEqual(maxExamples);
          expect(batch.reduce((sum, example) => sum + tokens[example]!, 0)).toBeLessThanOrEqual(maxTokens);
        }
      },
    ),
    { numRuns: 40 },
  );
});

it('packs well: fewer batches than twice what the tokens need, and no two that fit into one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 500 }), (tokens) => {
      const order = Array.from(tokens, (_, i) => i);
      const batches = packExamples(order, (example) => tokens[example]!, { maxTokens: 64, maxExamples: 1e9 });
      const sums = batches
        .map((batch) => batch.reduce((sum, example) => sum + tokens[example]!, 0))
        .sort((a, b) => a - b);
      if (sums.length > 1) expect(sums[0]! + sums[1]!).toBeGreaterThan(64);
    }),
    { numRuns: 40 },
  );
});

it('plans the same epoch from the same seed, and another from another', () => {
  const examples = Array.from({ length: 200 }, (_, i) => i);
  const plan = (seed: number, epoch: number) =>
    planEpoch(examples, (example) => 1 + (example % 30), { maxTokens: 64, maxExamples: 8 }, { seed, epoch });
  expect(plan(1, 0)).toEqual(plan(1, 0));
  expect(plan(1, 0)).not.toEqual(plan(1, 1));
  expect(plan(1, 0)).not.toEqual(plan(2, 0));
  expect(
    plan(1, 0)
      .flat()
      .sort((a, b) => a - b),
  ).toEqual(examples);
});

it('shuffles evenly and reproducibly', () => {
  expect([hash32(0, 0, 0), hash32(1, 0, 0), hash32(0, 1, 0), hash32(0, 0, 1)]).toMatchInlineSnapshot(`
    [
      3136461558,
      2032438040,
      3334305149,
      2494987483,
    ]
  `);
  const firsts = new Array(8).fill(0);
  for (let seed = 0; seed < 4000; seed++) {
    const list = [0, 1, 2, 3, 4, 5, 6, 7];
    shuffle(list, seed, 0);
    firsts[list[0]!]++;
  }
  for (const count of firsts) expect(Math.abs(count - 500)).toBeLessThan(100);
});

it('keeps a share of the rows, some but never all', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 300 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.nat(),
      (rows, ratio, seed) => {
        const kept = validationRows(rows, ratio, seed);
        if (ratio === 0 || rows < 2) expect(kept.size).toBe(0);
        else expect(kept.size).toBe(Math.min(rows - 1, Math.max(1, Math.round(ratio * rows))));
        for (const row of kept) expect(row >= 0 && row < rows).toBe(true);
        expect(validationRows(rows, ratio, seed)).toEqual(kept);
      },
    ),
  );
});
