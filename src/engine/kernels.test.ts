import { beforeAll, expect, it } from 'vitest';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat, WEIGHT_TYPES } from '../quant/index.js';
import { codeRange, hasMins, unpackedGroup } from '../quant/unpacked-layout.js';
import { bestSimdBuild, compileKernels } from './kernels.js';
import { laneScratchBytes } from './operations.js';
import { BYTE_BLOCK, WORD_BLOCK } from './products.js';
import { describeBuilds, KernelBench, randomFloats, runsHere, SIMD_BUILDS } from './testing/kernel-bench.js';

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(found.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

it('runs the builds up to the best one and refuses faster ones', async () => {
  const best = SIMD_BUILDS.indexOf(await bestSimdBuild());
  for (const [i, build] of SIMD_BUILDS.entries()) {
    expect(runsHere(build)).toBe(i <= best);
    if (i <= best) expect(await compileKernels(build)).toBeInstanceOf(WebAssembly.Module);
    else await expect(compileKernels(build)).rejects.toMatchObject({ code: 'simd-missing' });
  }
});

describeBuilds('kernels', (build) => {
  let bench: KernelBench;
  beforeAll(async () => {
    bench = await KernelBench.create(build, 1024);
  });

  /** Tokens quantized to blocks at `target`; returns what the blocks stand for, having checked them. */
  function quantize(x: Float32Array, columns: number, bytes: boolean, target: number): Float32Array {
    const tokens = x.length / columns;
    const blockBytes = bytes ? BYTE_BLOCK : WORD_BLOCK;
    const source = bench.floats(x);
    for (let t = 0; t < tokens; t++) {
      const to = target + t * blockBytes;
      const from = source + t * columns * 4;
      bench.kernels.quantizeActivations(from, Number(bytes), to, tokens * blockBytes, columns / 32);
    }
    const rounded = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 32) {
      const [t, group] = [Math.floor(i / columns), (i % columns) / 32];
      const block = target + (group * tokens + t) * blockBytes;
      const { buffer } = bench.u8;
      const codes = Array.from(bytes ? new Int8Array(buffer, block, 32) : new Int16Array(buffer, block, 32));
      const [scale, ...sums] = bench.read(block + (bytes ? 32 : 64), 4) as unknown as number[];
      const sum = (from: number, to: number) =>
        Math.fround(scale! * codes.slice(from, to).reduce((a, b) => a + b, 0));
      expect(sums).toEqual([sum(0, 32), sum(0, 16), sum(16, 32)]);
      if (bytes) {
        const [a, b, c, d] = [0, 8, 16, 24].map((i) => codes.slice(i, i + 8).reduce((s, v) => s + v, 0)) as [
          number,
          number,
          number,
          number,
        ];
        const integers = Array.from(new Int16Array(buffer, block + 48, 8));
        expect(integers).toEqual([a + b, a + b, c + d, c + d, a, b, c, d]);
      }
      for (let j = 0; j < 32; j++) rounded[i + j] = codes[j]! * scale!;
      expectClose(rounded.subarray(i, i + 32), x.subarray(i, i + 32), 0.51 * scale!);
    }
    return rounded;
  }

  it('rmsNorm divides by the root mean square and multiplies the weight', () => {
    const n = 36;
    const x = randomFloats(n, 1);
    const w = randomFloats(n, 2);
    const y = bench.allocate(n * 4);
    bench.kernels.rmsNorm(bench.floats(x), bench.floats(w), y, n, 1e-5);
    const rms = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / n + 1e-5);
    expectClose(
      bench.read(y, n),
      x.map((v, i) => (v / rms) * w[i]!),
      1e-6,
    );
    bench.kernels.rmsNorm(bench.floats(x), 0, y, n, 1e-5);
    expectClose(
      bench.read(y, n),
      x.map((v) => v / rms),
      1e-6,
    );
  });

  it('accumulateSquares adds the squares of each column, in double precision', () => {
    const [rows, columns, n] = [37, 24, 16];
    const x = randomFloats(rows * columns, 7);
    const sums = bench.allocate(n * 8);
    const found = new Float64Array(bench.u8.buffer, sums, n).fill(3);
    const from = bench.floats(x) + 4 * 4;
    bench.kernels.accumulateSquares(from, columns * 4, 30, sums, n);
    bench.kernels.accumulateSquares(from + 30 * columns * 4, columns * 4, 7, sums, n);
    for (let i = 0; i < n; i++) {
      let expected = 3;
      for (let row = 0; row < rows; row++) expected += x[row * columns + 4 + i]! ** 2;
      expect(found[i]).toBe(expected);
    }
  });

  it('ropeInterleaved rotates adjacent pairs of every head', () => {
    const [dim, heads] = [8, 3];
    const x = randomFloats(dim * heads, 3);
    const angles = Float32Array.from({ length: dim }, (_, i) => (i % 2 ? Math.sin : Math.cos)(1 + (i >> 1)));
    const address = bench.floats(x);
    bench.kernels.ropeInterleaved(address, bench.floats(angles), heads, dim);
    const expected = x.map((_, i) => {
      const pair = i & ~1;
      const j = pair % dim;
      const [re, im, cos, sin] = [x[pair]!, x[pair + 1]!, angles[j]!, angles[j + 1]!];
      return i % 2 ? re * sin + im * cos : re * cos - im * sin;
    });
    expectClose(bench.read(address, x.length), expected, 1e-6);
  });

  it('siluMultiply computes x · sigmoid(x) · up over the whole float range', () => {
    const gate = Float32Array.from([-200, -88, -20, -1, -1e-6, 0, 1e-6, 0.5, 1, 10, 50, 300]);
    const up = gate.map((_, i) => 1 + i / 8);
    const address = bench.floats(gate);
    bench.kernels.siluMultiply(address, bench.floats(up), gate.length);
    const found = bench.read(address, gate.length);
    for (let i = 0; i < gate.length; i++) {
      const expected = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!;
      expect(Math.abs(found[i]! - expected)).toBeLessThanOrEqual(Math.abs(expected) * 1e-6 + 1e-30);
    }
  });

  it('storeCache rounds to f16 as the reference does', () => {
    const special = [
      0,
      -0,
      1,
      -1,
      65504,
      65519.9,
      65520,
      1e9,
      -1e9,
      6e-8,
      2.9e-8,
      3e-8,
      6.1e-5,
      6.2e-5,
      1e-30,
      Infinity,
    ];
    const x = Float32Array.from([
      ...special,
      ...randomFloats(64, 4),
      ...randomFloats(64, 5).map((v) => v * 1e-5),
    ]);
    const target = bench.allocate(x.length * 2);
    bench.kernels.storeCache(1, bench.floats(x), target, x.length);
    const expected = new Uint8Array(x.length * 2);
    blockFormat('F16').encode!(
      x.map((v) => (Math.abs(v) >= 65520 ? 0 : v)),
      expected,
      x.length,
    );
    const found = new Uint16Array(bench.u8.slice(target, target + x.length * 2).buffer);
    const half = new Uint16Array(expected.buffer);
    for (let i = 0; i < x.length; i++) {
      const value = Math.abs(x[i]!) >= 65520 ? (x[i]! > 0 ? 0x7c00 : 0xfc00) : half[i]!;
      expect(found[i]).toBe(value);
    }
  });

  it.each(['F32', 'F16', 'BF16'] as const)('matmulFloat multiplies %s rows', (type) => {
    const [rows, columns] = [19, 44];
    const weights = randomFloats(rows * columns, 9);
    const stored = new Uint8Array(rowBytes(type, columns) * rows);
    blockFormat(type).encode!(weights, stored, columns);
    blockFormat(type).decode(stored, weights);
    const w = bench.bytes(stored);
    const scratch = bench.allocate(laneScratchBytes(columns, 32, 1));
    for (const tokens of [1, 3, 4, 9, 11]) {
      const x = randomFloats(tokens * columns, 10);
      const expected = new Float32Array(tokens * rows);
      for (let t = 0; t < tokens; t++) {
        for (let r = 0; r < rows; r++) {
          let sum = 1;
          for (let c = 0; c < columns; c++) sum += weights[r * columns + c]! * x[t * columns + c]!;
          expected[t * rows + r] = sum;
        }
      }
      const y = bench.floats(new Float32Array(expected.length).fill(1));
      const rowSize = stored.length / rows;
      bench.kernels.matmulFloat(
        ggmlType(type).id,
        w,
        rowSize,
        rows,
        columns,
        bench.floats(x),
        tokens,
        y,
        rows * 4,
        1,
        scratch,
      );
      expectClose(bench.read(y, expected.length), expected, 1e-5);
    }
  });

  const quantized = WEIGHT_TYPES.filter((type) => ggmlType(type).blockSize > 1);
  it.each(quantized)(
    'matmulQuantized multiplies %s rows as its decoder and 8-bit activations say',
    (type) => {
      const [rows, columns] = [11, 512];
      const { id, blockSize } = ggmlType(type);
      const size = rowBytes(type, columns);
      // Any bytes are weights; only the half floats must stay finite, which small exponents ensure.
      const stored = Uint8Array.from(randomFloats(size * rows, 11), (v) => Math.floor((v + 1) * 128) & 0x2f);
      const weights = new Float32Array(rows * columns);
      blockFormat(type).decode(stored, weights);
      const w = bench.bytes(stored);
      const scratch = bench.allocate(laneScratchBytes(columns, 32, 1));
      const { min, max } = codeRange(type);
      const row = bench.allocate(columns * 4);
      bench.kernels.dequantizeRow(
        id,
        w,
        row,
        columns,
        columns / blockSize,
        unpackedGroup(type),
        Number(hasMins(type)),
        scratch,
      );
      expect(bench.read(row, columns)).toEqual(weights.slice(0, columns));
      for (const tokens of [1, 6]) {
        const x = randomFloats(tokens * columns, 12);
        const blocks = bench.allocate((x.length / 32) * WORD_BLOCK);
        const rounded = quantize(x, columns, max - min <= bench.kernels.greatestCode(), blocks);
        const expected = new Float32Array(tokens * rows);
        let magnitude = 0;
        for (let t = 0; t < tokens; t++) {
          for (let r = 0; r < rows; r++) {
            let [sum, size] = [0, 0];
            for (let c = 0; c < columns; c++) {
              const product = weights[r * columns + c]! * rounded[t * columns + c]!;
              sum += product;
              size += Math.abs(product);
            }
            expected[t * rows + r] = sum;
            magnitude = Math.max(magnitude, size);
          }
        }
        const y = bench.allocate(expected.length * 4);
        bench.kernels.matmulQuantized(
          id,
          w,
          size,
          rows,
          columns,
          columns / blockSize,
          unpackedGroup(type),
          Number(hasMins(type)),
          min,
          max,
          blocks,
          tokens,
          y,
          rows * 4,
          0,
          scratch,
        );
        expectClose(bench.read(y, expected.length), expected, magnitude * 4e-6);
      }
    },
  );

  it.each(['Q4_K', 'Q6_K', 'Q8_0'] as const)(
    'a token of a batch gets the same of %s in any batch',
    (type) => {
      const [rows, columns] = [17, 256];
      const { id, blockSize } = ggmlType(type);
      const size = rowBytes(type, columns);
      const w = bench.bytes(Uint8Array.from(randomFloats(size * rows, 13), (v) => ((v + 1) * 128) & 0x2f));
      const scratch = bench.allocate(laneScratchBytes(columns, 32, 1));
      const { min, max } = codeRange(type);
      // More tokens than the kernel takes in one tile, and a number that its blocks of tokens do not divide.
      const x = randomFloats(261 * columns, 14);
      const multiply = (batch: Float32Array) => {
        const tokens = batch.length / columns;
        const blocks = bench.allocate((batch.length / 32) * WORD_BLOCK);
        quantize(batch, columns, max - min <= bench.kernels.greatestCode(), blocks);
        const y = bench.floats(new Float32Array(tokens * rows).fill(1));
        bench.kernels.matmulQuantized(
          id,
          w,
          size,
          rows,
          columns,
          columns / blockSize,
          unpackedGroup(type),
          Number(hasMins(type)),
          min,
          max,
          blocks,
          tokens,
          y,
          rows * 4,
          1,
          scratch,
        );
        return bench.read(y, tokens * rows);
      };
      const all = multiply(x);
      for (const first of [0, 60, 252]) {
        const few = multiply(x.slice(first * columns, (first + 9) * columns));
        expect(few).toEqual(all.slice(first * rows, (first + 9) * rows));
      }
    },
  );
});
