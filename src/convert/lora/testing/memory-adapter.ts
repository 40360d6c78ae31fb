import type { LoraAdapter, LoraTensor, LoraWeights } from '../adapter.js';

/** An adapter that lies in no file, with factors that look random and are always the same. */
export function memoryAdapter(tensors: readonly LoraTensor[], base: LoraAdapter['base'] = {}): LoraAdapter {
  let state = 1;
  const floats = (length: number) =>
    Float32Array.from({ length }, () => {
      state = (state * 48_271) % 0x7fff_ffff;
      return Math.fround((state / 0x7fff_ffff - 0.5) / 8);
    });
  const weights = new Map<string, LoraWeights>();
  for (const { name, columns, rows, rank, experts } of tensors) {
    weights.set(name, { a: floats(experts * rank * columns), b: floats(experts * rows * rank) });
  }
  return {
    path: 'memory',
    base,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    read: async (name) => weights.get(name)!,
    close: async () => {},
  };
}

/** What an adapter adds to a weight: scale · B A, `[experts][rows][columns]`. */
export async function changeOf(adapter: LoraAdapter, name: string): Promise<Float32Array> {
  const { columns, rows, rank, experts, scale } = adapter.tensors.get(name)!;
  const { a, b } = await adapter.read(name);
  const change = new Float32Array(experts * rows * columns);
  for (let row = 0; row < experts * rows; row++) {
    const expert = Math.floor(row / rows);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[(expert * rank + k) * columns + column]!;
      change[row * columns + column] = scale * sum;
    }
  }
  return change;
}
