import { beforeAll, beforeEach, expect, it } from 'vitest';
import { compileKernels, instantiateKernels } from '../engine/kernels.js';
import { randomFloats } from '../engine/testing/kernel-bench.js';
import { describeTrainBuilds, largestError, numericGradient, TrainBench } from './testing/train-bench.js';

const EPS = 1e-5;

function rmsNorm(x: ArrayLike<number>, weight?: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(x);
  const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  return values.map((value, i) => (value / Math.sqrt(mean + EPS)) * (weight?.[i] ?? 1));
}

const dot = (a: Float64Array, b: ArrayLike<number>) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

const silu = (x: number) => x / (1 + Math.exp(-x));

function negativeLogLikelihood(logits: Float64Array, target: number): number {
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return Math.log(total) + largest - logits[target]!;
}

describeTrainBuilds('training kernels', (build) => {
  let bench: TrainBench;
  beforeAll(async () => {
    bench = await TrainBench.create(build);
  });
  beforeEach(() => bench.reset());

  it.each([4, 20, 256])('rmsNormBackward is the slope, %i columns', (columns) => {
    const { kernels } = bench;
    const [x, weight, dy, start] = [1, 2, 3, 4].map((seed) => randomFloats(columns, seed));
    const at = bench.floats(x!);
    const atWeight = bench.floats(weight!);
    const atDy = bench.floats(dy!);
    const dx = bench.floats(start!);
    const slope = numericGradient((values) => dot(rmsNorm(values, weight), dy!), x!);
    kernels.rmsNormBackward(at, atWeight, atDy, dx, columns, EPS, 1);
    expect(
      largestError(
        bench.read(dx, columns),
        slope.map((value, i) => value + start![i]!),
      ),
    ).toBeLessThan(3e-6);
    kernels.rmsNormBackward(at, 0, atDy, atDy, columns, EPS, 0);
    const unweighted = numericGradient((values) => dot(rmsNorm(values), dy!), x!);
    expect(largestError(bench.read(atDy, columns), unweighted)).toBeLessThan(3e-6);
  });

  it('rmsNormWeightBackward adds up tokens, in any division of columns', () => {
    const [tokens, columns] = [9, 36];
    const { kernels } = bench;
    const [x, dy, start] = [tokens * columns, tokens * columns, columns].map((n, i) => randomFloats(n, i));
    const [atX, atDy, whole, parts] = [x, dy, start, start].map((values) => bench.floats(values!));
    kernels.rmsNormWeightBackward(atX!, atDy!, whole!, tokens, columns, 0, columns, EPS);
    for (const [first, end] of [
      [0, 7],
      [7, 30],
      [30, 36],
    ] as const) {
      kernels.rmsNormWeightBackward(atX!, atDy!, parts!, tokens, columns, first, end, EPS);
    }
    const expected = Float64Array.from(start!);
    for (let t = 0; t < tokens; t++) {
      const normed = rmsNorm(x!.subarray(t * columns, (t + 1) * columns));
      for (const [c, value] of normed.entries()) expected[c]! += value * dy![t * columns + c]!;
    }
    expect(largestError(bench.read(whole!, columns), expected)).toBeLessThan(1e-6);
    expect(bench.read(parts!, columns)).toEqual(bench.read(whole!, columns));
  });

  it('siluMultiply and its gradients', () => {
    const n = 64;
    const { kernels } = bench;
    const gate = randomFloats(n, 1).map((value) => 12 * value);
    const up = randomFloats(n, 2);
    const d = randomFloats(n, 3);
    const [atGate, atUp, atD] = [gate, up, d].map((values) => bench.floats(values));
    const inner = bench.allocate(n * 4);
    kernels.siluMultiply(atGate!, atUp!, inner, n);
    expect(
      largestError(
        bench.read(inner, n),
        gate.map((g, i) => silu(g) * up[i]!),
      ),
    ).toBeLessThan(1e-6);
    kernels.siluMultiplyBackward(atGate!, atUp!, atD!, atGate!, atUp!, n);
    const slope = numericGradient(
      (g) => g.reduce((sum, value, i) => sum + silu(value) * up[i]! * d[i]!, 0),
      gate,
    );
    expect(largestError(bench.read(atGate!, n), slope)).toBeLessThan(2e-6);
    expect(
      largestError(
        bench.read(atUp!, n),
        gate.map((g, i) => silu(g) * d[i]!),
      ),
    ).toBeLessThan(1e-6);
  });

  it('extremes of silu have finite gradients', () => {
    const gate = bench.floats(Float32Array.of(-1e30, -90, 90, 1e30));
    const one = bench.floats(new Float32Array(4).fill(1));
    const [dGate, dUp] = [bench.allocate(16), bench.allocate(16)];
    bench.kernels.siluMultiplyBackward(gate, one, one, dGate, dUp, 4);
    const [least, low, high, most] = bench.read(dGate, 4);
    expect([high, most]).toEqual([1, 1]);
    expect(Math.abs(low!)).toBeLessThan(1e-30);
    expect(Number.isFinite(least)).toBe(true);
  });

  it('ropeInterleavedBackward undoes ropeInterleaved', async () => {
    const [heads, dim] = [3, 8];
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    const forward = instantiateKernels(await compileKernels('plain'), memory, 65_536);
    const angles = Float32Array.from({ length: dim }, (_, i) => {
      const angle = 0.7 * (i >> 1) + 0.3;
      return i % 2 ? Math.sin(angle) : Math.cos(angle);
    });
    const x = randomFloats(heads * dim, 1);
    const f32 = new Float32Array(memory.buffer);
    const [at, atAngles] = [131_072, 135_168];
    f32.set(x, at / 4);
    f32.set(angles, atAngles / 4);
    forward.ropeInterleaved(at, atAngles, heads, dim);
    const turned = bench.floats(f32.slice(at / 4, at / 4 + x.length));
    expect(bench.read(turned, x.length)).not.toEqual(x);
    bench.kernels.ropeInterleavedBackward(turned, bench.floats(angles), heads, dim);
    expect(largestError(bench.read(turned, x.length), x)).toBeLessThan(1e-6);
  });

  it.each([1, 2, 3, 4, 61, 4099])('crossEntropy over %i words', (vocab) => {
    const logits = randomFloats(vocab, 1).map((value) => 8 * value);
    for (const target of new Set([0, vocab >> 1, vocab - 1])) {
      const at = bench.floats(logits);
      const found = bench.kernels.crossEntropy(at, target, 0.25, vocab);
      const expected = negativeLogLikelihood(Float64Array.from(logits), target);
      expect(Math.abs(found - expected)).toBeLessThan(1e-6 * Math.max(1, expected));
      const largest = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
      const gradient = Float64Array.from(
        logits,
        (logit, i) => 0.25 * (Math.exp(logit - largest) / total - (i === target ? 1 : 0)),
      );
      expect(largestError(bench.read(at, vocab), gradient)).toBeLessThan(1e-6);
    }
  });

  it('crossEntropy holds for certain and for hopeless targets', () => {
    const logits = new Float32Array(8);
    logits[3] = 200;
    expect(bench.kernels.crossEntropy(bench.floats(logits), 3, 1, 8)).toBeCloseTo(0, 12);
    expect(bench.kernels.crossEntropy(bench.floats(logits), 0, 1, 8)).toBeCloseTo(200, 5);
    const flat = bench.floats(new Float32Array(202_048).fill(-50));
    expect(bench.kernels.crossEntropy(flat, 7, 1, 202_048)).toBeCloseTo(Math.log(202_048), 6);
  });

  it('dropout keeps the share it should, the same in any division', () => {
    const n = 40_003;
    const threshold = Math.round(0.1 * 2 ** 32);
    const drop = (x: number, y: number, count: number, seed: number, counter: number) =>
      bench.kernels.dropout(x, y, count, 1 / 0.9, threshold, seed, 5, counter);
    const x = bench.floats(new Float32Array(n).fill(0.9));
    const [whole, parts, other] = [1, 2, 3].map(() => bench.allocate(n * 4)) as [number, number, number];
    // The counter passes 2^32 on the way.
    const counter = 2 ** 32 - 1000;
    drop(x, whole, n, 1, counter);
    drop(x, parts, 1001, 1, counter);
    drop(x + 1001 * 4, parts + 1001 * 4, n - 1001, 1, counter + 1001);
    drop(x, other, n, 2, counter);
    const kept = bench.read(whole, n);
    expect(bench.read(parts, n)).toEqual(kept);
    expect(kept.every((value) => value === 0 || Math.abs(value - 1) < 1e-6)).toBe(true);
    const dropped = kept.filter((value) => value === 0).length;
    expect(Math.abs(dropped / n - 0.1)).toBeLessThan(0.005);
    const both = bench.read(other, n).filter((value, i) => value === 0 && kept[i] === 0).length;
    expect(Math.abs(both / n - 0.01)).toBeLessThan(0.003);
  });

  it.each([1, 7, 8, 1003])('sumOfSquares of %i floats is exact to double precision', (n) => {
    const x = randomFloats(n, 1);
    const expected = x.reduce((sum, value) => sum + value * value, 0);
    expect(Math.abs(bench.kernels.sumOfSquares(bench.floats(x), n) - expected)).toBeLessThan(1e-13 * n);
  });
});
