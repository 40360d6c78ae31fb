import { tensorInfo } from '../convert/tensor-plan.js';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import type { TrainableModel } from './trainable-model.js';

/**
 * A model with its trained weights in place of those it had, for writing it. Weights keep their type; quantized ones,
 * which a checkpoint cannot hold, become BF16. Closing it closes nothing.
 */
export function trainedSource(
  source: TensorSource,
  model: Pick<TrainableModel, 'parameters' | 'read'>,
): TensorSource {
  const trained = new Set(model.parameters.map(({ name }) => name));
  const tensors = new Map<string, TensorInfo>();
  for (const info of source.tensors.values()) {
    const quantized = ggmlType(info.type).blockSize > 1;
    tensors.set(info.name, quantized ? tensorInfo(info.name, info.shape, 'BF16') : info);
  }
  /** Of the tensor read last. */
  let last: { readonly name: string; readonly values: Promise<Float32Array> } | undefined;
  return {
    path: source.path,
    metadata: source.metadata,
    tensors,
    async readRows(name, start, count, target) {
      const info = tensors.get(name)!;
      const columns = info.shape[0]!;
      const stored = source.tensors.get(name)!;
      if (trained.has(name)) {
        if (last?.name !== name) last = { name, values: model.read(name, 'value') };
        const values = (await last.values).subarray(start * columns, (start + count) * columns);
        blockFormat(info.type).encode!(values, target, columns);
      } else if (stored === info) {
        await source.readRows(name, start, count, target);
      } else {
        const bytes = new Uint8Array(count * rowBytes(stored.type, columns));
        const floats = new Float32Array(count * columns);
        await source.readRows(name, start, count, bytes);
        blockFormat(stored.type).decode(bytes, floats);
        blockFormat(info.type).encode!(floats, target, columns);
      }
    },
    close: async () => {},
  };
}
