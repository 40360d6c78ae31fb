import * as fc from 'fast-check';
import { beforeAll, beforeEach, expect, it } from 'vitest';
import { randomFloats } from '../engine/testing/kernel-bench.js';
import { describeTrainBuilds, largestError, TrainBench } from './testing/train-bench.js';

/** Σ_k a(i, k) b(k, j), [rows][columns]. */
function product(
  rows: number,
  columns: number,
  depth: number,
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const i = Math.floor(at / columns);
    const j = at % columns;
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += a(i, k) * b(k, j);
    return sum;
  });
}

function addTo(sum: Float64Array, values: Float64Array): void {
  for (const [i, value] of values.entries()) sum[i]! += value;
}

/** A matrix of floats with `gap` more floats between rows than it has columns. */
class Matrix {
  readonly address: number;
  readonly stride: number;
  readonly at: (row: number, column: number) => number;
  readonly #bench: TrainBench;
  readonly #rows: number;
  readonly #columns: number;

  constructor(bench: TrainBench, rows: number, columns: number, gap: number, seed: number) {
    this.#bench = bench;
    this.#rows = rows;
    this.#columns = columns;
    this.stride = columns + gap;
    const values = randomFloats(rows * this.stride, seed);
    for (let row = 0; row < rows; row++)
      values.fill(99, row * this.stride + columns, (row + 1) * this.stride);
    this.address = bench.floats(values);
    this.at = (row, column) => values[row * this.stride + column]!;
  }

  /** What the memory holds now; the floats between rows must be as they were. */
  read(): Float32Array {
    const floats = this.#bench.read(this.address, this.#rows * this.stride);
    const values = new Float32Array(this.#rows * this.#columns);
    for (let row = 0; row < this.#rows; row++) {
      const start = row * this.stride;
      values.set(floats.subarray(start, start + this.#columns), row * this.#columns);
      expect(floats.subarray(start + this.#columns, start + this.stride).every((x) => x === 99)).toBe(true);
    }
    return values;
  }

  values(): Float64Array {
    const { at } = this;
    return Float64Array.from({ length: this.#rows * this.#columns }, (_, i) =>
      at(Math.floor(i / this.#columns), i % this.#columns),
    );
  }
}

const sizes = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 21, max: 70 }));
const depths = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 250, max: 530 }));
const gaps = fc.integer({ min: 0, max: 5 });

describeTrainBuilds('products', (build) => {
  let bench: TrainBench;
  beforeAll(async () => {
    bench = await TrainBench.create(build);
  });
  beforeEach(() => bench.reset());

  it('productNT: y (+)= x Wᵀ', () => {
    const shape = fc.tuple(sizes, sizes, depths, gaps, fc.boolean());
    fc.assert(
      fc.property(shape, ([tokens, rows, columns, gap, accumulate]) => {
        bench.reset();
        const x = new Matrix(bench, tokens, columns, gap, 1);
        const w = new Matrix(bench, rows, columns, gap, 2);
        const y = new Matrix(bench, tokens, rows, gap, 3);
        bench.kernels.productNT(
          x.address,
          x.stride,
          w.address,
          w.stride,
          y.address,
          y.stride,
          tokens,
          rows,
          columns,
          accumulate ? 1 : 0,
          bench.scratch,
        );
        const expected = product(tokens, rows, columns, x.at, (k, j) => w.at(j, k));
        if (accumulate) addTo(expected, y.values());
        expect(largestError(y.read(), expected, 1)).toBeLessThan(1e-5);
      }),
      { numRuns: 40, seed: 1 },
    );
  });

  it('productNN: dx (+)= dy W', () => {
    const shape = fc.tuple(sizes, depths, sizes, gaps, fc.boolean());
    fc.assert(
      fc.property(shape, ([tokens, rows, columns, gap, accumulate]) => {
        bench.reset();
        const dy = new Matrix(bench, tokens, rows, gap, 1);
        const w = new Matrix(bench, rows, columns, gap, 2);
        const dx = new Matrix(bench, tokens, columns, gap, 3);
        bench.kernels.productNN(
          dy.address,
          dy.stride,
          w.address,
          w.stride,
          dx.address,
          dx.stride,
          tokens,
          rows,
          columns,
          accumulate ? 1 : 0,
          bench.scratch,
        );
        const expected = product(tokens, columns, rows, dy.at, w.at);
        if (accumulate) addTo(expected, dx.values());
        expect(largestError(dx.read(), expected, 1)).toBeLessThan(1e-5);
      }),
      { numRuns: 40, seed: 2 },
    );
  });

  it('productTN: dW += dyᵀ x', () => {
    fc.assert(
      fc.property(fc.tuple(depths, sizes, sizes, gaps), ([tokens, rows, columns, gap]) => {
        bench.reset();
        const dy = new Matrix(bench, tokens, rows, gap, 1);
        const x = new Matrix(bench, tokens, columns, gap, 2);
        const dw = new Matrix(bench, rows, columns, gap, 3);
        bench.kernels.productTN(
          dy.address,
          dy.stride,
          x.address,
          x.stride,
          dw.address,
          dw.stride,
          tokens,
          rows,
          columns,
          bench.scratch,
        );
        const expected = product(rows, columns, tokens, (i, k) => dy.at(k, i), x.at);
        addTo(expected, dw.values());
        expect(largestError(dw.read(), expected, 1)).toBeLessThan(1e-5);
      }),
      { numRuns: 40, seed: 3 },
    );
  });

  it('wide products, past a block of panels', () => {
    const [tokens, rows, columns] = [13, 300, 290];
    const x = new Matrix(bench, tokens, columns, 0, 1);
    const w = new Matrix(bench, rows, columns, 0, 2);
    const y = new Matrix(bench, tokens, rows, 0, 3);
    const { kernels, scratch } = bench;
    kernels.productNT(
      x.address,
      columns,
      w.address,
      columns,
      y.address,
      rows,
      tokens,
      rows,
      columns,
      0,
      scratch,
    );
    expect(
      largestError(
        y.read(),
        product(tokens, rows, columns, x.at, (k, j) => w.at(j, k)),
      ),
    ).toBeLessThan(1e-5);
    kernels.productNN(
      y.address,
      rows,
      w.address,
      columns,
      x.address,
      columns,
      tokens,
      rows,
      columns,
      0,
      scratch,
    );
    const dy = y.read();
    const dx = product(tokens, columns, rows, (i, k) => dy[i * rows + k]!, w.at);
    expect(largestError(x.read(), dx)).toBeLessThan(1e-5);
    const again = x.read();
    kernels.productTN(
      y.address,
      rows,
      x.address,
      columns,
      w.address,
      columns,
      tokens,
      rows,
      columns,
      scratch,
    );
    const dw = product(
      rows,
      columns,
      tokens,
      (i, k) => dy[k * rows + i]!,
      (k, j) => again[k * columns + j]!,
    );
    addTo(dw, w.values());
    expect(largestError(w.read(), dw)).toBeLessThan(1e-5);
  });

  it('parts of a product have the bits of the whole', () => {
    const cut = (size: number, at: number): [number, number][] => [
      [0, at],
      [at, size - at],
    ];
    const shape = fc.tuple(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 2, max: 40 }),
      depths,
      fc.nat(),
    );
    fc.assert(
      fc.property(shape, ([m, n, depth, seed]) => {
        bench.reset();
        const { kernels, scratch } = bench;
        const [i, j] = [1 + (seed % (m - 1)), 1 + (seed % (n - 1))];
        const a = bench.floats(randomFloats(m * depth, 1));
        const b = bench.floats(randomFloats(n * depth, 2));
        const whole = bench.floats(randomFloats(m * n, 3));
        const parts = bench.floats(randomFloats(m * n, 3));
        const compare = () => expect(bench.read(parts, m * n)).toEqual(bench.read(whole, m * n));

        kernels.productNT(a, depth, b, depth, whole, n, m, n, depth, 0, scratch);
        kernels.productNN(a, depth, b, n, whole, n, m, depth, n, 1, scratch);
        kernels.productTN(a, m, b, n, whole, n, depth, m, n, scratch);
        for (const [row, rows] of cut(m, i)) {
          for (const [column, columns] of cut(n, j)) {
            const to = parts + (row * n + column) * 4;
            const aRow = a + row * depth * 4;
            kernels.productNT(
              aRow,
              depth,
              b + column * depth * 4,
              depth,
              to,
              n,
              rows,
              columns,
              depth,
              0,
              scratch,
            );
            kernels.productNN(aRow, depth, b + column * 4, n, to, n, rows, depth, columns, 1, scratch);
            kernels.productTN(a + row * 4, m, b + column * 4, n, to, n, depth, rows, columns, scratch);
          }
        }
        compare();
      }),
      { numRuns: 25, seed: 4 },
    );
  });
});
