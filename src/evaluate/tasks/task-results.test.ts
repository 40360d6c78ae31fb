import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passAtK } from './pass-at-k.js';
import type { SampleRecord } from './sample-record.js';
import { resultsTable, taskResult } from './task-results.js';

function choose(n: number, k: number): number {
  return k > n ? 0 : k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k;
}

describe('passAtK', () => {
  it('is the share of the choices of k samples that hold one which passed', () => {
    const counts = fc
      .nat(12)
      .chain((n) => fc.tuple(fc.constant(n + 1), fc.nat(n + 1), fc.integer({ min: 1, max: n + 1 })));
    fc.assert(
      fc.property(counts, ([n, c, k]) => {
        expect(passAtK(n, c, k)).toBeCloseTo(1 - choose(n - c, k) / choose(n, k), 10);
      }),
    );
  });
});

describe('taskResult', () => {
  const round = (...passed: boolean[]) => ({
    answer: '',
    checks: passed.map((one, i) => ({ name: `c${i}`, points: i + 1, passed: one })),
  });
  const records: SampleRecord[] = [
    { task: 't', sample: 1, seed: 1, rounds: [round(true, true)] },
    { task: 't', sample: 2, seed: 2, rounds: [round(false, true), round(true, true)] },
    { task: 't', sample: 3, seed: 3, rounds: [round(true, false), round(false, false)] },
    { task: 't', sample: 4, seed: 4, rounds: [{ ...round(false, false), problem: 'no program' }] },
  ];

  it('counts first answers for pass@k and last ones for repair', () => {
    const result = taskResult('t', records);
    expect(result).toMatchObject({
      samples: 4,
      passedAtFirst: 1,
      passedInTheEnd: 2,
      afterRepair: 0.5,
      rounds: 1.5,
    });
    expect(result.passAt).toEqual({ 1: 0.25, 2: 0.5, 3: 0.75, 4: 1 });
    expect(result.firstScore).toBeCloseTo((1 + 2 / 3 + 1 / 3) / 4);
    expect(result.lastScore).toBeCloseTo(0.5);
  });

  it('makes a table', () => {
    expect(resultsTable([taskResult('t', records)], 2).split('\n')).toEqual([
      '| Task | Samples | pass@1 |  pass@4 | after repair (2 rounds) | points | points in the end |',
      '|------|--------:|-------:|--------:|------------------------:|-------:|------------------:|',
      '| t    |       4 | 25.0 % | 100.0 % |                  50.0 % | 50.0 % |            50.0 % |',
      '',
    ]);
  });
});
