import { rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';

/** Decoded at once: what lies beside the target is small. */
const PIECE_BYTES = 2 ** 20;

/** A source whose tensors have the types of `tensors`: those that are F32 there and not in the source are decoded. */
export function floatSource(source: TensorSource, tensors: ReadonlyMap<string, TensorInfo>): TensorSource {
  return {
    path: source.path,
    metadata: source.metadata,
    tensors,
    async readRows(name, start, count, target) {
      const info = source.tensors.get(name)!;
      if (info.type === tensors.get(name)!.type) {
        await source.readRows(name, start, count, target);
        return;
      }
      const columns = info.shape[0]!;
      const bytes = rowBytes(info.type, columns);
      const atOnce = Math.max(1, Math.floor(PIECE_BYTES / (4 * columns)));
      for (let row = 0; row < count; row += atOnce) {
        const rows = Math.min(atOnce, count - row);
        const stored = new Uint8Array(rows * bytes);
        await source.readRows(name, start + row, rows, stored);
        const floats = new Float32Array(rows * columns);
        blockFormat(info.type).decode(stored, floats);
        target.set(new Uint8Array(floats.buffer), row * columns * 4);
      }
    },
    close: () => source.close(),
  };
}
