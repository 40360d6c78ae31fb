import { describe, expect, it } from 'vitest';
import { preferenceLoss, sequenceSums } from './preference.js';

const batch = { sequences: Int32Array.of(0, 0, 1, 1, 2, 3, 3) };
const likelihoods = Float32Array.of(1, 0.5, 2, 1, 0.25, 3, 0);
const reference = Float64Array.of(2, 2.5, 1, 1);

describe('preferenceLoss', () => {
  it('is −log σ of the margins', () => {
    const sums = sequenceSums(batch, likelihoods);
    expect([...sums]).toEqual([1.5, 3, 0.25, 3]);
    const { sum, figures } = preferenceLoss(batch, sums, reference, 0.5);
    const margins = [0.5 * (2 - 1.5 - (2.5 - 3)), 0.5 * (1 - 0.25 - (1 - 3))];
    expect(sum).toBeCloseTo(
      margins.reduce((total, m) => total + Math.log(1 + Math.exp(-m)), 0),
      12,
    );
    expect(figures.margin).toBeCloseTo((margins[0]! + margins[1]!) / 2, 12);
    expect(figures.accuracy).toBe(1);
  });

  it('has weights that are its derivative', () => {
    const { weights } = preferenceLoss(batch, sequenceSums(batch, likelihoods), reference, 0.5);
    const h = 1e-3;
    for (const token of likelihoods.keys()) {
      const lossAt = (change: number) => {
        const moved = likelihoods.slice();
        moved[token]! += change;
        return preferenceLoss(batch, sequenceSums(batch, moved), reference, 0.5).sum;
      };
      expect(weights[token]).toBeCloseTo((lossAt(h) - lossAt(-h)) / (2 * h), 4);
    }
  });

  it('survives margins of any size', () => {
    const sums = Float64Array.of(1e6, 0);
    const pair = { sequences: Int32Array.of(0, 1) };
    const { sum, weights } = preferenceLoss(pair, sums, new Float64Array(2), 1);
    expect(sum).toBeCloseTo(1e6, 0);
    expect([...weights]).toEqual([1, -1]);
  });
});
