import { beforeAll, describe, expect, it } from 'vitest';
import { bestSimdBuild } from './kernels.js';
import { KernelBench, randomFloats } from './testing/kernel-bench.js';

/** x Φ(x), by integrating the density from x to where nothing is left (Simpson's rule). */
function geluReference(x: number): number {
  const steps = 4000;
  const from = Math.abs(x);
  const step = 12 / steps;
  const density = (at: number) => Math.exp((-at * at) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(from) + density(from + 12);
  for (let i = 1; i < steps; i++) sum += density(from + i * step) * (i % 2 ? 4 : 2);
  const tail = (sum * step) / 3;
  return x * (x < 0 ? tail : 1 - tail);
}

describe.each(['plain', 'relaxed'] as const)('vision kernels, %s SIMD', (build) => {
  let bench: KernelBench;
  beforeAll(async () => {
    await bestSimdBuild();
    bench = await KernelBench.create(build, 1024);
  });

  it('gelu is the exact one, to a float’s precision', () => {
    const x = Float32Array.from({ length: 400 }, (_, i) => (i - 200) / 25);
    const address = bench.floats(x);
    bench.kernels.gelu(address, x.length);
    for (const [i, found] of bench.read(address, x.length).entries()) {
      const expected = geluReference(x[i]!);
      expect(Math.abs(found - expected)).toBeLessThanOrEqual(1e-8 + 3e-7 * Math.abs(expected));
    }
    const ends = bench.floats(Float32Array.of(-1e30, -40, 40, 1e30));
    bench.kernels.gelu(ends, 4);
    const [least, low, high, most] = bench.read(ends, 4);
    expect([least, high, most]).toEqual([-0, 40, Math.fround(1e30)]);
    expect(Math.abs(low!)).toBeLessThan(1e-37);
  });

  it('layerNorm subtracts the mean and divides by the deviation', () => {
    for (const n of [4, 64, 1408]) {
      const [x, weight, bias] = [1, 2, 3].map((seed) => randomFloats(n, seed)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      const shifted = x.map((v) => v + 100);
      const mean = shifted.reduce((a, b) => a + b, 0) / n;
      const variance = shifted.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
      const address = bench.floats(shifted);
      bench.kernels.layerNorm(address, bench.floats(weight), bench.floats(bias), address, n, 1e-5);
      for (const [i, found] of bench.read(address, n).entries()) {
        const expected = ((shifted[i]! - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + bias[i]!;
        expect(Math.abs(found - expected)).toBeLessThan(2e-4);
      }
    }
  });

  it('copyRows moves rows between strides', () => {
    const source = bench.floats(Float32Array.from({ length: 24 }, (_, i) => i));
    const target = bench.floats(new Float32Array(12));
    bench.kernels.copyRows(source + 8, 32, target, 16, 3, 12);
    expect([...bench.read(target, 12)]).toEqual([2, 3, 4, 0, 10, 11, 12, 0, 18, 19, 20, 0]);
  });
});
