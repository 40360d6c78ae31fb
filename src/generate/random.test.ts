import { describe, expect, it } from 'vitest';
import { Random, randomSeed } from './random.js';

describe('Random', () => {
  it('gives the sequence of the seed, now and always', () => {
    const first = (seed: number) => {
      const random = new Random(seed);
      return [random.next(), random.next(), random.next()];
    };
    expect(first(42)).toEqual(first(42));
    expect(first(42)).toMatchInlineSnapshot(`
      [
        0.6606157230567753,
        0.9381425819466721,
        0.34581209263201373,
      ]
    `);
    const seeds = [0, 1, 42, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1];
    expect(new Set(seeds.map((seed) => first(seed)[0])).size).toBe(seeds.length);
  });

  it('is uniform in [0, 1)', () => {
    const random = new Random(7);
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) bins[Math.floor(10 * random.next())]!++;
    for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('chooses seeds that options accept', () => {
    const seed = randomSeed();
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  });
});
