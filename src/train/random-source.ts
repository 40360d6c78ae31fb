import { createHash } from 'node:crypto';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';

/** transformers' `initializer_range` of Llama 4. */
const DEVIATION = 0.02;

/**
 * A model of the same shape with random weights, as transformers initializes one: matrices from a normal distribution,
 * norms 1, and what is no weight (RoPE divisors) as it is. The same seed gives the same weights, in whatever pieces
 * they are read.
 */
export function randomSource(source: TensorSource, seed: number): TensorSource {
  const { path, metadata } = source;
  const tensors = new Map(
    Array.from(source.tensors.values(), (info) => {
      const quantized = ggmlType(info.type).blockSize > 1;
      const type = quantized ? 'F32' : info.type;
      const bytes = (info.bytes / rowBytes(info.type, info.shape[0]!)) * rowBytes(type, info.shape[0]!);
      return [info.name, { ...info, type, bytes }] as const;
    }),
  );
  return {
    path,
    metadata,
    tensors,
    async readRows(name, start, count, target) {
      if (name === 'rope_freqs.weight') return source.readRows(name, start, count, target);
      const { shape, type } = tensors.get(name)!;
      const columns = shape[0]!;
      const values = new Float32Array(count * columns);
      if (shape.length === 1) values.fill(1);
      else fillNormal(values, keyOf(name, seed), start * columns);
      blockFormat(type).encode!(values, target, columns);
    },
    close: () => source.close(),
  };
}

function keyOf(name: string, seed: number): readonly [number, number] {
  const digest = createHash('sha256').update(`${seed} ${name}`).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}

/** Elements `[first, first + length)` of an endless row of normal numbers; Box and Muller, one of each pair. */
function fillNormal(values: Float32Array, [low, high]: readonly [number, number], first: number): void {
  for (let i = 0; i < values.length; i++) {
    const at = first + i;
    const radius = uniform(low ^ (at >>> 0), high ^ Math.floor(at / 2 ** 32));
    const angle = uniform(high ^ (at >>> 0), ~low ^ Math.floor(at / 2 ** 32));
    values[i] = DEVIATION * Math.sqrt(-2 * Math.log(radius)) * Math.cos(2 * Math.PI * angle);
  }
}

/** In (0, 1), from two words, mixed by MurmurHash3's finalizer. */
function uniform(a: number, b: number): number {
  return (mix(mix(a) ^ b) + 0.5) / 2 ** 32;
}

function mix(word: number): number {
  let x = word >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
