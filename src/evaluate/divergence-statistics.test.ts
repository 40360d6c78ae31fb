import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DivergenceStatistics, percentile } from './divergence-statistics.js';
import { compareLogits, compareWithStored } from './row-divergence.js';
import { RunningMean } from './running-mean.js';
import { readStoredRow, storedRowWords, storeRow } from './stored-log-probs.js';

const finite = (limit: number) => fc.double({ min: -limit, max: limit, noNaN: true });
const twoRows = fc
  .integer({ min: 1, max: 40 })
  .chain((n) =>
    fc.tuple(
      fc.float32Array({ minLength: n, maxLength: n, min: -20, max: 20, noNaN: true }),
      fc.float32Array({ minLength: n, maxLength: n, min: -20, max: 20, noNaN: true }),
      fc.nat(n - 1),
    ),
  );

describe('percentile', () => {
  it('lies between its neighbours and splits the values', () => {
    fc.assert(
      fc.property(
        fc.array(finite(1e6), { minLength: 1, maxLength: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const sorted = values.sort((a, b) => a - b);
          const found = percentile(sorted, share);
          const position = share * (sorted.length - 1);
          expect(found).toBeGreaterThanOrEqual(sorted[Math.floor(position)]! - 1e-9);
          expect(found).toBeLessThanOrEqual(sorted[Math.ceil(position)]! + 1e-9);
        },
      ),
    );
    expect(percentile([1, 2, 4], 0.75)).toBe(3);
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe('RunningMean', () => {
  it('equals the definition', () => {
    fc.assert(
      fc.property(fc.array(finite(1000), { minLength: 2, maxLength: 50 }), (values) => {
        const running = new RunningMean();
        for (const value of values) running.add(value);
        const mean = values.reduce((a, b) => a + b) / values.length;
        const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
        expect(running.mean).toBeCloseTo(mean, 8);
        expect(running.standardError).toBeCloseTo(Math.sqrt(variance / (values.length - 1)), 8);
      }),
    );
  });
});

describe('compareLogits', () => {
  it('is never negative, 0 for shifted logits, and the definition', () => {
    fc.assert(
      fc.property(twoRows, ([reference, logits, target]) => {
        const { kld, nll, referenceNll } = compareLogits(reference, logits, target);
        const logSum = (row: Float32Array) => Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0));
        const [a, b] = [logSum(reference), logSum(logits)];
        const expected = reference.reduce(
          (sum, v, i) => sum + Math.exp(v - a) * (v - a - (logits[i]! - b)),
          0,
        );
        expect(kld).toBeCloseTo(expected, 9);
        expect(kld).toBeGreaterThan(-1e-9);
        expect(nll).toBeCloseTo(b - logits[target]!, 9);
        expect(referenceNll).toBeCloseTo(a - reference[target]!, 9);
        const shifted = reference.map((v) => Math.round(v) + 8);
        expect(compareLogits(reference.map(Math.round), shifted, target).kld).toBeCloseTo(0, 12);
      }),
    );
  });

  it('takes impossible tokens of both', () => {
    const row = Float32Array.of(1, -Infinity, 0.5);
    expect(compareLogits(row, row, 0)).toMatchObject({ kld: 0, sameTop: true });
  });
});

describe('stored rows', () => {
  it('hold log-probabilities to half a level, down to 16 below the largest', () => {
    fc.assert(
      fc.property(twoRows, ([reference, logits, target]) => {
        const words = new Uint16Array(storedRowWords(reference.length));
        storeRow(reference, words);
        const row = readStoredRow(words, reference.length, () => 'here');
        const max = Math.max(...reference);
        const total = max + Math.log(reference.reduce((sum, v) => sum + Math.exp(v - max), 0));
        reference.forEach((value, i) => {
          const expected = Math.max(value, max - 16) - total;
          expect(Math.abs(row.scale * row.levels[i]! + row.floor - expected)).toBeLessThan(
            row.scale * 0.51 + 1e-5,
          );
        });
        // 40 tokens of at most e^-16 each are left out, times the largest possible difference.
        const exact = compareLogits(reference, logits, target);
        const stored = compareWithStored(row, logits, target);
        expect(Math.abs(stored.kld - exact.kld)).toBeLessThan(0.02);
        expect(stored.nll).toBeCloseTo(exact.nll, 9);
      }),
    );
  });

  it('round half levels to even', () => {
    // A range of 65535 · 2^-12 makes levels of exactly 2^-12.
    const scale = 2 ** -12;
    const logits = Float32Array.from([0, 0.5, 1, 1.5, 2, 2.5, 3.5, 65535], (level) => level * scale);
    const words = new Uint16Array(storedRowWords(logits.length));
    storeRow(logits, words);
    expect(Array.from(words.subarray(4))).toEqual([0, 0, 1, 2, 2, 2, 4, 65535]);
  });

  it('hold equal logits', () => {
    const logits = new Float32Array(5).fill(3);
    const words = new Uint16Array(storedRowWords(5)).fill(9);
    storeRow(logits, words);
    const { scale, floor, levels } = readStoredRow(words, 5, () => 'here');
    expect([scale, floor, ...levels]).toEqual([0, Math.fround(-Math.log(5)), 0, 0, 0, 0, 0]);
  });
});

describe('DivergenceStatistics', () => {
  it('does not depend on the order of the tokens', () => {
    const rows = fc.array(
      fc.record({
        kld: fc.double({ min: 0, max: 10, noNaN: true }),
        nll: fc.double({ min: 0, max: 12, noNaN: true }),
        referenceNll: fc.double({ min: 0, max: 12, noNaN: true }),
        sameTop: fc.boolean(),
      }),
      { minLength: 1, maxLength: 40 },
    );
    fc.assert(
      fc.property(rows, (all) => {
        const [forwards, backwards] = [all, [...all].reverse()].map((list) => {
          const statistics = new DivergenceStatistics(list.length);
          for (const row of list) statistics.add(row);
          return statistics.summary();
        });
        for (const [name, value] of Object.entries(forwards!)) {
          const other = backwards![name as keyof typeof forwards];
          if (name.endsWith('Correlation')) continue;
          expect(Math.abs(value - other), name).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
        }
        const { medianKld, kld90, kld95, kld99, kld999, maxKld } = forwards!;
        const ladder = [medianKld, kld90, kld95, kld99, kld999, maxKld];
        expect(ladder).toEqual([...ladder].sort((a, b) => a - b));
      }),
    );
  });
});
