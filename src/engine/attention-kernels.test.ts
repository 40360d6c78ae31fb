import { beforeAll, describe, expect, it } from 'vitest';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat } from '../quant/index.js';
import { attentionScratchBytes } from './attention.js';
import { bestSimdBuild } from './kernels.js';
import { KernelBench, randomFloats } from './testing/kernel-bench.js';

type Type = 'F32' | 'F16' | 'Q8_0';

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

/** Attention in doubles: queries [tokens][heads][dim], query t sees positions 0 … past + t. */
function reference(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  shape: { heads: number; tokens: number; dim: number; past: number },
): Float32Array {
  const { heads, tokens, dim, past } = shape;
  const out = new Float32Array(q.length);
  for (let row = 0; row < tokens * heads; row++) {
    const at = row * dim;
    const scores = Array.from({ length: past + Math.floor(row / heads) + 1 }, (_, j) => {
      let s = 0;
      for (let d = 0; d < dim; d++) s += q[at + d]! * k[j * dim + d]!;
      return s;
    });
    const largest = Math.max(...scores);
    const weights = scores.map((s) => Math.exp(s - largest));
    const total = weights.reduce((a, b) => a + b);
    for (let d = 0; d < dim; d++) {
      out[at + d] = weights.reduce((sum, w, j) => sum + w * v[j * dim + d]!, 0) / total;
    }
  }
  return out;
}

describe.each(['plain', 'relaxed'] as const)('attention kernels, %s SIMD', (build) => {
  let bench: KernelBench;
  beforeAll(async () => {
    await bestSimdBuild();
    bench = await KernelBench.create(build, 1024);
  });

  /** Rows of a cache, and what they stand for. */
  function cacheOf(type: Type, x: Float32Array, dim: number): { address: number; rounded: Float32Array } {
    const size = rowBytes(type, dim);
    const rows = x.length / dim;
    const address = bench.allocate(size * rows);
    const source = bench.floats(x);
    for (let row = 0; row < rows; row++) {
      bench.kernels.storeCache(ggmlType(type).id, source + row * dim * 4, address + row * size, dim);
    }
    const target = bench.allocate(x.length * 4);
    bench.kernels.loadCache(ggmlType(type).id, address, size, target, rows, dim);
    return { address, rounded: bench.read(target, x.length) };
  }

  it('a Q8_0 row has the codes and scales of ggml’s blocks', () => {
    const dim = 96;
    const x = randomFloats(dim, 21).map((value, i) => (i < 32 ? value * 0.02 : i < 64 ? 0 : value * 50));
    const { address, rounded } = cacheOf('Q8_0', x, dim);
    const blocks = new Uint8Array(rowBytes('Q8_0', dim));
    blockFormat('Q8_0').encode!(x, blocks, dim);
    for (let b = 0; b < 3; b++) {
      const scale = bench.u8.slice(address + dim + 2 * b, address + dim + 2 * b + 2);
      expect(scale).toEqual(blocks.slice(b * 34, b * 34 + 2));
      const codes = bench.u8.slice(address + 32 * b, address + 32 * b + 32);
      expect(codes).toEqual(blocks.slice(b * 34 + 2, b * 34 + 34));
    }
    const decoded = new Float32Array(dim);
    blockFormat('Q8_0').decode(blocks, decoded);
    expect(rounded).toEqual(decoded);
  });

  it('F16 rows read as what they hold', () => {
    const halves = Uint16Array.from({ length: 0x10000 }, (_, i) => i).filter((h) => (h & 0x7c00) !== 0x7c00);
    const padded = new Uint16Array(Math.ceil(halves.length / 4) * 4);
    padded.set(halves);
    const expected = new Float32Array(padded.length);
    blockFormat('F16').decode(new Uint8Array(padded.buffer), expected);
    const target = bench.allocate(padded.length * 4);
    const source = bench.bytes(new Uint8Array(padded.buffer));
    bench.kernels.loadCache(1, source, padded.length * 2, target, 1, padded.length);
    expect(bench.read(target, padded.length)).toEqual(expected);
  });

  /** Attention as the engine runs it: spans of keys, folded in order. */
  function attend(
    types: readonly [Type, Type],
    data: { q: number; keys: number; values: number },
    shape: { heads: number; tokens: number; dim: number; past: number },
    spanPositions: number,
  ): Float32Array {
    const { heads, tokens, dim, past } = shape;
    const [keyType, valueType] = types.map((type) => ggmlType(type).id) as [number, number];
    const [keyBytes, valueBytes] = types.map((type) => rowBytes(type, dim)) as [number, number];
    const stride = heads * dim * 4;
    const bytes = heads * tokens * (dim + 4) * 4;
    const spans = Math.ceil((past + tokens) / spanPositions);
    const partials = bench.allocate(bytes * spans);
    const scratch = bench.allocate(attentionScratchBytes(heads, dim));
    for (let span = 0; span < spans; span++) {
      const position = span * spanPositions;
      bench.kernels.attendSpan(
        keyType,
        valueType,
        data.q,
        stride,
        heads,
        tokens,
        dim,
        data.keys + position * keyBytes,
        keyBytes,
        data.values + position * valueBytes,
        valueBytes,
        past - position,
        Math.min(spanPositions, past + tokens - position),
        partials + span * bytes,
        scratch,
      );
    }
    bench.kernels.foldSpans(partials, partials + bytes, bytes, spans - 1, heads * tokens, dim, scratch);
    const out = bench.allocate(stride * tokens);
    bench.kernels.finishAttention(partials, heads, tokens, dim, out, stride);
    return bench.read(out, heads * tokens * dim);
  }

  it.each([
    [['F32', 'F32'], 5, 7, 20, 36],
    [['F16', 'F16'], 5, 7, 20, 36],
    [['F16', 'F16'], 1, 1, 0, 36],
    [['F16', 'F32'], 4, 13, 100, 64],
    [['Q8_0', 'Q8_0'], 5, 3, 90, 128],
    [['Q8_0', 'F16'], 3, 16, 33, 32],
  ] as const)(
    'attend with cache types %j, %i heads, %i tokens after %i',
    (types, heads, tokens, past, dim) => {
      const shape = { heads, tokens, dim, past };
      const q = randomFloats(tokens * heads * dim, 6);
      const k = cacheOf(types[0], randomFloats((past + tokens) * dim, 7), dim);
      const v = cacheOf(types[1], randomFloats((past + tokens) * dim, 8), dim);
      const data = { q: bench.floats(q), keys: k.address, values: v.address };
      const expected = reference(q, k.rounded, v.rounded, shape);
      for (const span of [32, 64, 512]) {
        expect(largestDifference(attend(types, data, shape, span), expected)).toBeLessThan(2e-6);
      }
    },
  );

  it('a query gets the same bits alone and among others', () => {
    const [heads, tokens, dim, past] = [3, 16, 64, 57];
    const q = randomFloats(tokens * heads * dim, 16).map((x) => x * 3);
    const k = cacheOf('F16', randomFloats((past + tokens) * dim, 17), dim);
    const v = cacheOf('F16', randomFloats((past + tokens) * dim, 18), dim);
    const types = ['F16', 'F16'] as const;
    const data = { q: bench.floats(q), keys: k.address, values: v.address };
    const together = attend(types, data, { heads, tokens, dim, past }, 32);
    for (let t = 0; t < tokens; t++) {
      const alone = { ...data, q: data.q + t * heads * dim * 4 };
      const found = attend(types, alone, { heads, tokens: 1, dim, past: past + t }, 32);
      expect(found).toEqual(together.slice(t * heads * dim, (t + 1) * heads * dim));
    }
  });
});
