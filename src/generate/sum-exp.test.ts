import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sumExp } from './sum-exp.js';

it('is the sum of exponentials', () => {
  const values = fc.array(fc.oneof(fc.double({ min: -80, max: 80, noNaN: true }), fc.constant(-Infinity)));
  fc.assert(
    fc.property(values, fc.double({ min: -80, max: 80, noNaN: true }), (others, first) => {
      const all = Float64Array.of(first, ...others);
      const max = Math.max(...all);
      const expected = all.reduce((sum, value) => sum + Math.exp(value - max), 0);
      expect(Math.abs(sumExp(all, max) / expected - 1)).toBeLessThan(1e-12);
    }),
    { numRuns: 1000 },
  );
});
