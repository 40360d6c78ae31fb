import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { computeThreads, countCores } from './processors.js';

it('counts cores, not the threads they run', () => {
  const siblings = new Map([
    [0, '0,4'],
    [1, '1,5'],
    [4, '0,4'],
    [5, '1,5'],
  ]);
  expect(countCores(siblings)).toBe(2);
  expect(countCores(siblings, '0-1')).toBe(2);
  expect(countCores(siblings, '1,5')).toBe(1);
  expect(countCores(siblings, '7')).toBeUndefined();
  expect(countCores(new Map())).toBeUndefined();
});

it('starts at least one thread and no more than may run', () => {
  expect(computeThreads()).toBeGreaterThanOrEqual(1);
  expect(computeThreads()).toBeLessThanOrEqual(availableParallelism());
});
