import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { randomFloats } from '../engine/testing/kernel-bench.js';
import { dynamicMap, EIGHT_BIT_BLOCK, eightBitTables } from './eight-bit-maps.js';
import { describeTrainBuilds, largestError, TrainBench } from './testing/train-bench.js';

const SETTINGS = { learningRate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1 };
const GRADIENT_SCALE = 0.5;

interface State {
  value: Float64Array;
  m: Float64Array;
  v: Float64Array;
}

/** A step of AdamW in double precision. */
function adamwStep({ value, m, v }: State, gradient: ArrayLike<number>, step: number): void {
  const { learningRate, beta1, beta2, epsilon, decay } = SETTINGS;
  for (let i = 0; i < value.length; i++) {
    const g = gradient[i]! * GRADIENT_SCALE;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    const root = Math.sqrt(v[i]! / (1 - beta2 ** step)) + epsilon;
    value[i] = value[i]! * (1 - learningRate * decay) - (learningRate * m[i]!) / (1 - beta1 ** step) / root;
  }
}

/** What both optimizers take from `n` on, as far as the scale of gradients. */
function settingsAt(step: number) {
  const { learningRate, beta1, beta2, epsilon, decay } = SETTINGS;
  const corrections = [1 - beta1 ** step, 1 - beta2 ** step] as const;
  return [learningRate, beta1, beta2, epsilon, decay, ...corrections, GRADIENT_SCALE] as const;
}

describe('dynamic maps', () => {
  it('have 256 ascending values from −1 or 0 to 1', () => {
    for (const [signed, least, smallest] of [
      [true, -0.99296875, 5.5e-7],
      [false, 0, 3.25e-7],
    ] as const) {
      const map = dynamicMap(signed);
      expect(map.length).toBe(256);
      expect(map[0]).toBeCloseTo(least, 6);
      expect(map[255]).toBe(1);
      expect(map.filter((value) => value === 0).length).toBe(1);
      expect(map.every((value, i) => i === 0 || value > map[i - 1]!)).toBe(true);
      expect(Math.min(...map.filter((value) => value > 0)) / smallest).toBeCloseTo(1, 5);
    }
  });
});

describeTrainBuilds('optimizers', (build) => {
  let bench: TrainBench;
  beforeAll(async () => {
    bench = await TrainBench.create(build);
  });
  beforeEach(() => bench.reset());

  it('adamw takes three steps, in any division', () => {
    const n = 103;
    const start = randomFloats(n, 1);
    const expected: State = {
      value: Float64Array.from(start),
      m: new Float64Array(n),
      v: new Float64Array(n),
    };
    const [value, m, v] = [start, new Float32Array(n), new Float32Array(n)].map((x) => bench.floats(x)) as [
      number,
      number,
      number,
    ];
    const [value2, m2, v2] = [start, new Float32Array(n), new Float32Array(n)].map((x) =>
      bench.floats(x),
    ) as [number, number, number];
    for (let step = 1; step <= 3; step++) {
      const gradients = randomFloats(n, 10 + step);
      const gradient = bench.floats(gradients);
      adamwStep(expected, gradients, step);
      bench.kernels.adamw(value, gradient, m, v, n, ...settingsAt(step));
      for (const [first, count] of [
        [0, 50],
        [50, 53],
      ] as const) {
        const [a, b, c, d] = [value2, gradient, m2, v2].map((at) => at + first * 4);
        bench.kernels.adamw(a!, b!, c!, d!, count, ...settingsAt(step));
      }
    }
    expect(largestError(bench.read(value, n), expected.value)).toBeLessThan(1e-6);
    expect(largestError(bench.read(m, n), expected.m)).toBeLessThan(1e-6);
    expect(largestError(bench.read(v, n), expected.v)).toBeLessThan(1e-6);
    expect(bench.read(value2, n)).toEqual(bench.read(value, n));
  });

  it('adamw8bit rounds moments to the nearest values of their maps', () => {
    const n = 2 * EIGHT_BIT_BLOCK + 41;
    const start = randomFloats(n, 1);
    const tables = bench.bytes(eightBitTables());
    const value = bench.floats(start);
    const [m, v] = [bench.allocate(n), bench.allocate(n)];
    const [mScales, vScales] = [bench.floats(new Float32Array(3)), bench.floats(new Float32Array(3))];
    const maps = { m: dynamicMap(true), v: dynamicMap(false) };
    const state: State = { value: Float64Array.from(start), m: new Float64Array(n), v: new Float64Array(n) };
    const read = (codes: number, scales: number, map: Float32Array) =>
      Float64Array.from({ length: n }, (_, i) => {
        const scale = bench.f32[scales / 4 + Math.floor(i / EIGHT_BIT_BLOCK)]!;
        return map[bench.u8[codes + i]!]! * scale;
      });
    for (let step = 1; step <= 3; step++) {
      const gradients = randomFloats(n, 10 + step).map((g, i) => (i < EIGHT_BIT_BLOCK ? 1e-3 * g ** 5 : g));
      bench.kernels.adamw8bit(
        value,
        bench.floats(gradients),
        m,
        v,
        mScales,
        vScales,
        n,
        ...settingsAt(step),
        tables,
        bench.scratch,
      );
      adamwStep(state, gradients, step);
      expect(largestError(bench.read(value, n), state.value)).toBeLessThan(1e-5);
      for (const [moment, codes, scales] of [
        ['m', m, mScales],
        ['v', v, vScales],
      ] as const) {
        const kept = read(codes, scales, maps[moment]);
        for (const [i, exact] of state[moment].entries()) {
          const scale = bench.f32[scales / 4 + Math.floor(i / EIGHT_BIT_BLOCK)]!;
          const nearest = maps[moment].reduce((least, x) => Math.min(least, Math.abs(x * scale - exact)), 9);
          expect(Math.abs(kept[i]! - exact)).toBeLessThanOrEqual(nearest + 1e-6 * scale);
        }
        // The next step goes on from what was kept.
        state[moment] = kept;
      }
    }
  });

  it('adamw8bit keeps moments of zero', () => {
    const n = 5;
    const value = bench.floats(new Float32Array(n).fill(1));
    const gradient = bench.floats(new Float32Array(n));
    const [m, v, mScale, vScale] = [n, n, 4, 4].map((bytes) => bench.allocate(bytes));
    const tables = bench.bytes(eightBitTables());
    bench.f32[mScale! / 4] = 0;
    bench.f32[vScale! / 4] = 0;
    for (let step = 1; step <= 2; step++) {
      bench.kernels.adamw8bit(
        value,
        gradient,
        m!,
        v!,
        mScale!,
        vScale!,
        n,
        ...settingsAt(step),
        tables,
        bench.scratch,
      );
    }
    const decayed = (1 - SETTINGS.learningRate * SETTINGS.decay) ** 2;
    for (const found of bench.read(value, n)) expect(found).toBeCloseTo(decayed, 6);
    expect([bench.f32[mScale! / 4], bench.f32[vScale! / 4]]).toEqual([0, 0]);
  });
});
