import { beforeAll, expect, it } from 'vitest';
import { randomFloats } from '../engine/testing/kernel-bench.js';
import { describeTrainBuilds, largestError, numericGradient, TrainBench } from './testing/train-bench.js';

interface Shape {
  readonly heads: number;
  readonly tokens: number;
  readonly dim: number;
  readonly chunk: number;
}

/** softmax(q kᵀ) v per head; q [tokens][heads][dim], k, v [tokens][dim]. */
function attention(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  shape: Shape,
): Float64Array {
  const { heads, tokens, dim, chunk } = shape;
  const out = new Float64Array(tokens * heads * dim);
  for (let t = 0; t < tokens; t++) {
    const first = chunk > 0 ? t - (t % chunk) : 0;
    for (let h = 0; h < heads; h++) {
      const at = (t * heads + h) * dim;
      const scores: number[] = [];
      for (let s = first; s <= t; s++) {
        let score = 0;
        for (let i = 0; i < dim; i++) score += q[at + i]! * k[s * dim + i]!;
        scores.push(score);
      }
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [s, weight] of weights.entries()) {
        for (let i = 0; i < dim; i++) out[at + i]! += (weight / total) * v[(first + s) * dim + i]!;
      }
    }
  }
  return out;
}

/** Rows of `width` floats spread to rows of `stride`. */
function spread(values: Float32Array, width: number, stride: number): Float32Array {
  const spreadOut = new Float32Array((values.length / width) * stride).fill(99);
  for (let row = 0; row * width < values.length; row++) {
    spreadOut.set(values.subarray(row * width, (row + 1) * width), row * stride);
  }
  return spreadOut;
}

function gather(values: Float32Array, width: number, stride: number): Float32Array {
  const rows = values.length / stride;
  const gathered = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    gathered.set(values.subarray(row * stride, row * stride + width), row * width);
  }
  return gathered;
}

describeTrainBuilds('attention', (build) => {
  let bench: TrainBench;
  beforeAll(async () => {
    bench = await TrainBench.create(build, 512);
  });

  /** Forward and backward through rows that are `gap` floats longer than this head group needs. */
  function run(shape: Shape, inputs: Record<'q' | 'k' | 'v' | 'dOut', Float32Array>, gap: number) {
    const { heads, tokens, dim, chunk } = shape;
    bench.reset();
    const { kernels, scratch } = bench;
    const [wide, narrow] = [heads * dim, dim];
    const [qStride, kvStride] = [wide + gap, narrow + gap];
    const q = bench.floats(spread(inputs.q, wide, qStride));
    const k = bench.floats(spread(inputs.k, narrow, kvStride));
    const v = bench.floats(spread(inputs.v, narrow, kvStride));
    const dOut = bench.floats(spread(inputs.dOut, wide, qStride));
    const [out, dq] = [bench.allocate(tokens * qStride * 4), bench.allocate(tokens * qStride * 4)];
    const [dk, dv] = [bench.allocate(tokens * kvStride * 4), bench.allocate(tokens * kvStride * 4)];
    const sums = bench.allocate(heads * tokens * 4);
    kernels.attentionForward(q, qStride, k, v, kvStride, out, sums, heads, tokens, dim, chunk, scratch);
    kernels.attentionBackward(
      q,
      qStride,
      k,
      v,
      kvStride,
      out,
      dOut,
      sums,
      dq,
      dk,
      dv,
      heads,
      tokens,
      dim,
      chunk,
      scratch,
    );
    const wideRows = (address: number) => gather(bench.read(address, tokens * qStride), wide, qStride);
    const narrowRows = (address: number) => gather(bench.read(address, tokens * kvStride), narrow, kvStride);
    return { out: wideRows(out), dq: wideRows(dq), dk: narrowRows(dk), dv: narrowRows(dv) };
  }

  function inputsFor({ heads, tokens, dim }: Shape) {
    return {
      q: randomFloats(tokens * heads * dim, 1),
      k: randomFloats(tokens * dim, 2),
      v: randomFloats(tokens * dim, 3),
      dOut: randomFloats(tokens * heads * dim, 4),
    };
  }

  it.each([
    { heads: 1, tokens: 1, dim: 32, chunk: 0 },
    { heads: 2, tokens: 67, dim: 36, chunk: 0 },
    { heads: 5, tokens: 130, dim: 128, chunk: 0 },
    { heads: 4, tokens: 200, dim: 32, chunk: 70 },
    { heads: 1, tokens: 64, dim: 64, chunk: 64 },
  ])('forward: $heads heads of $dim, $tokens tokens, chunks of $chunk', (shape) => {
    const inputs = inputsFor(shape);
    const expected = attention(inputs.q, inputs.k, inputs.v, shape);
    expect(largestError(run(shape, inputs, 8).out, expected)).toBeLessThan(1e-5);
  });

  it.each([
    { heads: 1, tokens: 3, dim: 4, chunk: 0 },
    { heads: 2, tokens: 67, dim: 4, chunk: 0 },
    { heads: 3, tokens: 30, dim: 8, chunk: 7 },
  ])('backward is the slope: $heads heads of $dim, $tokens tokens, chunks of $chunk', (shape) => {
    const inputs = inputsFor(shape);
    const { q, k, v, dOut } = inputs;
    const found = run(shape, inputs, 4);
    const along = (out: Float64Array) => out.reduce((sum, value, i) => sum + value * dOut[i]!, 0);
    const dq = numericGradient((x) => along(attention(x, k, v, shape)), q);
    const dk = numericGradient((x) => along(attention(q, x, v, shape)), k);
    const dv = numericGradient((x) => along(attention(q, k, x, shape)), v);
    expect(largestError(found.dq, dq)).toBeLessThan(5e-6);
    expect(largestError(found.dk, dk)).toBeLessThan(5e-6);
    expect(largestError(found.dv, dv)).toBeLessThan(5e-6);
  });

  it('large scores neither overflow nor lose the gradient', () => {
    const shape = { heads: 1, tokens: 70, dim: 4, chunk: 0 };
    const inputs = inputsFor(shape);
    inputs.q = inputs.q.map((value) => 200 * value);
    const expected = attention(inputs.q, inputs.k, inputs.v, shape);
    const found = run(shape, inputs, 0);
    expect(largestError(found.out, expected)).toBeLessThan(1e-4);
    for (const gradient of [found.dq, found.dk, found.dv]) expect(gradient.every(Number.isFinite)).toBe(true);
  });

  it('a head alone has the bits it has in its group', () => {
    const shape = { heads: 3, tokens: 90, dim: 32, chunk: 40 };
    const inputs = inputsFor(shape);
    const together = run(shape, inputs, 0);
    const width = shape.heads * shape.dim;
    for (let h = 0; h < shape.heads; h++) {
      const part = (values: Float32Array) => gather(values.subarray(h * shape.dim), shape.dim, width);
      const pad = (values: Float32Array) => Float32Array.of(...values, ...new Float32Array(h * shape.dim));
      const own = { ...inputs, q: part(pad(inputs.q)), dOut: part(pad(inputs.dOut)) };
      const alone = run({ ...shape, heads: 1 }, own, 0);
      expect(alone.out).toEqual(part(pad(together.out)));
      expect(alone.dq).toEqual(part(pad(together.dq)));
    }
  });
});
