import { describe, expect, it } from 'vitest';
import { ropeDivisors, ropeScalingOfDivisors } from './rope-scaling.js';

const scout = { headDim: 128, ropeTheta: 500000 };
const corrected = { factor: 16, lowFreqFactor: 1, highFreqFactor: 1, originalContextLength: 8192 };
const first = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 };

describe('ropeDivisors', () => {
  it('steps from 1 to the factor where the low and high factors are equal', () => {
    const expected = [...new Array(35).fill(1), ...new Array(29).fill(16)];
    expect([...ropeDivisors(scout, corrected)]).toEqual(expected);
  });

  it('passes smoothly in between where they differ', () => {
    const divisors = ropeDivisors(scout, first);
    expect([...divisors.slice(0, 29)]).toEqual(new Array(29).fill(1));
    // From transformers 5.18 and llama.cpp v0.5.0, which agree.
    const passage = [1.207484, 1.553415, 2.026313, 2.69453, 3.684253, 5.257327];
    for (const [i, value] of passage.entries()) expect(divisors[29 + i]).toBeCloseTo(value, 5);
    expect([...divisors.slice(35)]).toEqual(new Array(29).fill(8));
  });
});

describe('ropeScalingOfDivisors', () => {
  it.each([corrected, first])('finds published settings: factor $factor', (scaling) => {
    expect(ropeScalingOfDivisors(scout, ropeDivisors(scout, scaling))).toEqual(scaling);
  });

  it('finds none for others', () => {
    expect(ropeScalingOfDivisors(scout, ropeDivisors(scout, { ...first, factor: 4 }))).toBeUndefined();
    expect(ropeScalingOfDivisors(scout, new Float32Array(0))).toBeUndefined();
  });
});
