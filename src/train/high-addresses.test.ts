import { expect, it } from 'vitest';
import { ARENA_LIMIT } from '../engine/arena-plan.js';
import { randomFloats } from '../engine/testing/kernel-bench.js';
import { describeTrainBuilds, TrainBench } from './testing/train-bench.js';

// Addresses are numbers here and signed 32-bit integers in the machine: operands that lie across 2^31, and up to the
// last float that an arena uses below 2^32, give what the same operands give lower down.

describeTrainBuilds('training kernels at high addresses', (build) => {
  it('find and leave there what they do lower down', async () => {
    // Only pages that are touched are taken from the system.
    const bench = await TrainBench.create(build, ARENA_LIMIT / 65_536);
    const { kernels, scratch } = bench;
    const [tokens, rows, columns] = [70, 36, 44];
    const x = randomFloats(tokens * columns, 1);
    const w = randomFloats(rows * columns, 2);
    const y = randomFloats(tokens * rows, 3);
    const logSums = bench.allocate(30 * 4);
    const floats = [x, w, y].reduce((sum, { length }) => sum + length, 0);

    const run = (start: number) => {
      const [atX, atW] = [start, start + x.length * 4];
      const atY = atW + w.length * 4;
      bench.f32.set(x, atX / 4);
      bench.f32.set(w, atW / 4);
      bench.f32.set(y, atY / 4);
      kernels.productNT(atX, columns, atW, columns, atY, rows, tokens, rows, columns, 1, scratch);
      kernels.productNN(atY, rows, atW, columns, atX, columns, tokens, rows, columns, 0, scratch);
      kernels.productTN(atY, rows, atX, columns, atW, columns, tokens, rows, columns, scratch);
      // Queries and keys of x's columns, to y.
      kernels.attentionForward(atX, columns, atX, atX + 16, columns, atY, logSums, 1, 30, 36, 0, scratch);
      kernels.siluMultiply(atX, atW, atY, rows * columns);
      kernels.rmsNormBackward(atX, atW, atY, atY, columns, 1e-5, 0);
      kernels.dropout(atY, atY, y.length, 2, 2 ** 31, 1, 2, 3);
      const loss = kernels.crossEntropy(atY, 5, 1, y.length);
      bench.f32.fill(0.1, atY / 4, atY / 4 + 648);
      kernels.adamw(atW, atX, atY, atY + 324 * 4, 324, 0.1, 0.9, 0.99, 1e-8, 0.1, 0.1, 0.01, 1);
      return { loss, squares: kernels.sumOfSquares(start, floats), memory: bench.read(start, floats) };
    };

    const low = run(bench.allocate(floats * 4));
    expect(Number.isFinite(low.loss)).toBe(true);
    expect(low.memory.every(Number.isFinite)).toBe(true);
    expect(run(2 ** 31 - 2 * floats)).toEqual(low);
    // Arenas leave the last 64 bytes free.
    expect(run(ARENA_LIMIT - 64 - floats * 4)).toEqual(low);
  });
});
