import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImatrixEntry } from '../formats/imatrix/index.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import { inlineRecoder, sampledRows, tensorErrors } from './tensor-errors.js';

const COLUMNS = 256;
const ROWS = 48;
const EXPERTS = 3;

/** Weights of a fixed generator; the rows of expert 2 are ten times as large. */
function weights(): Float32Array {
  let state = 3;
  return Float32Array.from({ length: COLUMNS * ROWS * EXPERTS }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * (i >= 2 * ROWS * COLUMNS ? 10 : 1);
  });
}

const info: TensorInfo = {
  name: 'blk.0.ffn_up_exps.weight',
  type: 'F32',
  shape: [COLUMNS, ROWS, EXPERTS],
  bytes: COLUMNS * ROWS * EXPERTS * 4,
};

function sourceOf(values: Float32Array): TensorSource {
  const bytes = new Uint8Array(values.buffer);
  return {
    path: 'test',
    metadata: new Map(),
    tensors: new Map([[info.name, info]]),
    async readRows(_name, start, count, target) {
      target.set(bytes.subarray(start * COLUMNS * 4, (start + count) * COLUMNS * 4));
    },
    async close() {},
  };
}

function importanceOf(weight: (expert: number, column: number) => number): Map<string, ImatrixEntry> {
  const sums = Float32Array.from({ length: COLUMNS * EXPERTS }, (_, i) =>
    weight(Math.floor(i / COLUMNS), i % COLUMNS),
  );
  return new Map([[info.name, { sums, counts: [10, 10, 10] }]]);
}

describe('tensorErrors', () => {
  const source = sourceOf(weights());

  it('equals the error of the whole tensor when every row is sampled', async () => {
    const values = weights();
    const encoded = new Uint8Array((values.length / 32) * 18);
    blockFormat('Q4_0').encode!(values, encoded, COLUMNS);
    const decoded = new Float32Array(values.length);
    blockFormat('Q4_0').decode(encoded, decoded);
    let error = 0;
    let norm = 0;
    for (const [i, value] of values.entries()) {
      error += (decoded[i]! - value) ** 2;
      norm += value ** 2;
    }
    const measured = await tensorErrors(source, info, ['Q4_0'], {
      recoder: inlineRecoder,
      sampleWeights: values.length,
    });
    expect(measured.get('Q4_0')).toBeCloseTo(error / norm, 10);
  });

  it('falls with the bits and says the same every time', async () => {
    const options = { recoder: inlineRecoder, importance: importanceOf(() => 1) };
    const errors = await tensorErrors(source, info, ['IQ2_XXS', 'Q3_K', 'Q4_K', 'Q8_0'], options);
    const values = [...errors.values()];
    expect(values).toEqual([...values].sort((a, b) => b - a));
    expect(values[0]).toBeLessThan(0.5);
    expect(values.at(-1)).toBeGreaterThan(0);
    expect(await tensorErrors(source, info, [...errors.keys()], options)).toEqual(errors);
  });

  it('weighs experts by what they are used', async () => {
    // An expert that saw nothing does not count, however large its weights.
    const used = await tensorErrors(source, info, ['Q3_K'], {
      recoder: inlineRecoder,
      importance: importanceOf((expert) => (expert === 2 ? 0 : 1)),
    });
    const loud = weights();
    for (let i = 2 * ROWS * COLUMNS; i < loud.length; i++) loud[i] = i % 7;
    const changed = await tensorErrors(sourceOf(loud), info, ['Q3_K'], {
      recoder: inlineRecoder,
      importance: importanceOf((expert) => (expert === 2 ? 0 : 1)),
    });
    expect(changed).toEqual(used);
  });
});

describe('sampledRows', () => {
  it('takes different rows in order, of every matrix', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 400 }),
        (name, rows, matrices, wanted) => {
          const samples = sampledRows(name, rows, matrices, wanted);
          expect(samples.map(([matrix]) => matrix)).toEqual(Array.from({ length: matrices }, (_, i) => i));
          for (const [, taken] of samples) {
            expect(taken.length).toBe(Math.min(rows, Math.max(1, Math.ceil(wanted / matrices))));
            for (const [i, row] of taken.entries()) {
              expect(row).toBeGreaterThan(i === 0 ? -1 : taken[i - 1]!);
              expect(row).toBeLessThan(rows);
            }
          }
        },
      ),
    );
  });
});
