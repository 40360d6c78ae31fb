import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expNegative } from './exp-negative.js';

it('is e^x where that matters, and 0 below', () => {
  fc.assert(
    fc.property(fc.double({ min: -64, max: 0.001, minExcluded: true, noNaN: true }), (x) => {
      expect(Math.abs(expNegative(x) / Math.exp(x) - 1)).toBeLessThan(1e-12);
    }),
  );
  expect([0, -64, -1e9, -Infinity, Number.NaN].map(expNegative)).toEqual([1, 0, 0, 0, 0]);
});
