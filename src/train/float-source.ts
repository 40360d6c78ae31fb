import { rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';

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
      const bytes = new Uint8Array(count * rowBytes(info.type, columns));
      await source.readRows(name, start, count, bytes);
      const floats = new Float32Array(count * columns);
      blockFormat(info.type).decode(bytes, floats);
      target.set(new Uint8Array(floats.buffer));
    },
    close: () => source.close(),
  };
}
