import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { learningRateAt, SCHEDULES } from './schedule.js';
import { afterStep, totalSteps } from './step-plan.js';

describe('learningRateAt', () => {
  // get_scheduler of transformers 5, 3 steps of warm-up in 10.
  it.each([
    ['linear', [0, 0.333333, 0.666667, 1, 0.857143, 0.714286, 0.571429, 0.428571, 0.285714, 0.142857]],
    ['cosine', [0, 0.333333, 0.666667, 1, 0.950484, 0.811745, 0.61126, 0.38874, 0.188255, 0.049516]],
    ['constant', [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
    ['constant_with_warmup', [0, 0.333333, 0.666667, 1, 1, 1, 1, 1, 1, 1]],
    [
      'inverse_sqrt',
      [0, 0.333333, 0.666667, 1, 0.866025, 0.774597, Math.SQRT1_2, 0.654654, 0.612372, 0.57735],
    ],
  ] as const)('%s is that of transformers', (type, expected) => {
    const schedule = { type, learningRate: 1, warmupSteps: 3, totalSteps: 10 };
    for (const [step, rate] of expected.entries())
      expect(learningRateAt(schedule, step)).toBeCloseTo(rate, 5);
  });

  it('never leaves 0 to the highest', () => {
    const any = fc.record({
      type: fc.constantFrom(...SCHEDULES),
      learningRate: fc.constant(0.5),
      warmupSteps: fc.nat(50),
      totalSteps: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(any, fc.nat(60), (schedule, step) => {
        const rate = learningRateAt(schedule, step);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(0.5);
      }),
    );
  });
});

describe('steps', () => {
  it('are as many as walking through the epochs takes', () => {
    const any = fc.record({
      counts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 4, maxLength: 4 }),
      epochs: fc.integer({ min: 1, max: 4 }),
      accumulation: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(any, ({ counts, epochs, accumulation }) => {
        const batches = (epoch: number) => counts[epoch]!;
        let position = { epoch: 0, batch: 0 };
        let steps = 0;
        for (; position.epoch < epochs; steps++) position = afterStep(position, batches, accumulation);
        expect(totalSteps(batches, { epochs, accumulation })).toBe(steps);
        expect(position).toEqual({ epoch: epochs, batch: 0 });
      }),
    );
  });

  it('count parts of epochs, or are given', () => {
    expect(totalSteps(() => 10, { epochs: 1.5, accumulation: 2 })).toBe(8);
    expect(totalSteps(() => 10, { epochs: 1.5, maxSteps: 3, accumulation: 2 })).toBe(3);
  });
});
