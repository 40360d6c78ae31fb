import type { LoraAdapter, LoraWeights } from '../convert/lora/adapter.js';
import type { Matrix } from '../engine/matrix.js';
import type { AdapterLayout, AdapterPart } from './adapter-plan.js';

/** Fills the arenas with the factors of adapters, in the order in which they were planned. */
export async function loadAdapters(
  { matrices }: AdapterLayout,
  adapters: readonly LoraAdapter[],
  arenas: readonly Uint8Array[],
): Promise<void> {
  for (const [name, { a, b, width, parts }] of matrices) {
    for (const part of parts) {
      const adapter = adapters[part.adapter]!;
      writePart(await adapter.read(name), part, width, adapter.tensors.get(name)!.scale, a, b, arenas);
    }
  }
}

/** What no part fills is zero, as new memories are. */
function writePart(
  weights: LoraWeights,
  { first, rank }: AdapterPart,
  width: number,
  scale: number,
  a: Matrix,
  b: Matrix,
  arenas: readonly Uint8Array[],
): void {
  const floatsOf = ({ pieces, columns }: Matrix, expert: number) => {
    const { arena, offset, rows } = pieces[expert]!;
    return new Float32Array(arenas[arena]!.buffer, offset, rows * columns);
  };
  for (let expert = 0; expert < a.pieces.length; expert++) {
    const inputs = rank * a.columns;
    floatsOf(a, expert).set(weights.a.subarray(expert * inputs, (expert + 1) * inputs), first * a.columns);
    const target = floatsOf(b, expert);
    const { rows } = b.pieces[expert]!;
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < rank; k++) {
        target[row * width + first + k] = weights.b[(expert * rows + row) * rank + k]! * scale;
      }
    }
  }
}
