import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFourBit } from './four-bit.js';
import type { Measurements } from './measurements.js';

const item = fc.record({
  roundedBytes: fc.integer({ min: 1, max: 50 }),
  extra: fc.integer({ min: 1, max: 150 }),
  kld: fc.double({ min: 0, max: 1, noNaN: true }),
  error: fc.double({ min: 0.001, max: 0.02, noNaN: true }),
});

function prepared(values: readonly { roundedBytes: number; extra: number; kld: number; error: number }[]) {
  const items = values.map(({ roundedBytes, extra }, i) => ({
    name: `t${i}`,
    roundedBytes,
    keptBytes: roundedBytes + extra,
  }));
  const measurements: Measurements = new Map(
    values.map(({ kld }, i) => [
      `t${i}`,
      { errors: new Map(), perturbations: [{ type: 'IQ1_S' as const, error: 0.5, kld }] },
    ]),
  );
  const errors = new Map(values.map(({ error }, i) => [`t${i}`, error]));
  const plain = items.reduce((sum, { roundedBytes }) => sum + roundedBytes, 0);
  return { items, measurements, errors, plain };
}

describe('planFourBit', () => {
  it('keeps within the budget the tensors whose rounding hurts most', () => {
    fc.assert(
      fc.property(fc.array(item, { minLength: 1, maxLength: 8 }), fc.nat(400), (values, extra) => {
        const { items, measurements, errors, plain } = prepared(values);
        const plan = planFourBit(items, measurements, errors, plain + extra);
        const bytes = plan.decisions.reduce(
          (sum, { kept, keptBytes, roundedBytes }) => sum + (kept ? keptBytes : roundedBytes),
          0,
        );
        expect(bytes).toBeLessThanOrEqual(plain + extra);
        // No other choice within the budget is better.
        let best = Number.POSITIVE_INFINITY;
        for (let choice = 0; choice < 2 ** items.length; choice++) {
          const kept = (i: number) => (choice >> i) % 2 === 1;
          const size = items.reduce(
            (sum, { keptBytes, roundedBytes }, i) => sum + (kept(i) ? keptBytes : roundedBytes),
            0,
          );
          const damage = plan.decisions.reduce((sum, { damage: own }, i) => sum + (kept(i) ? 0 : own), 0);
          if (size <= plain + extra) best = Math.min(best, damage);
        }
        expect(plan.predictedKld).toBeCloseTo(best, 9);
        expect(plan.predictedKld).toBeLessThanOrEqual(plan.plainKld + 1e-12);
      }),
      { numRuns: 50 },
    );
  });

  it('refuses less than 4 bits throughout take', () => {
    const { items, measurements, errors, plain } = prepared([
      { roundedBytes: 10, extra: 30, kld: 1, error: 0.01 },
    ]);
    expect(() => planFourBit(items, measurements, errors, plain - 1)).toThrow(
      expect.objectContaining({ code: 'budget-too-small' }),
    );
    expect([...planFourBit(items, measurements, errors, 40).kept]).toEqual(['t0']);
  });
});
