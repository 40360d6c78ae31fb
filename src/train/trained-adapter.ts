import {
  isExpertWeight,
  type LoraAdapter,
  type LoraTensor,
  type LoraWeights,
} from '../convert/lora/adapter.js';
import type { TensorSource } from '../formats/tensor-source.js';
import type { TrainableModel } from './trainable-model.js';
import type { LoraParameter } from './types.js';

/** The adapters of a model in training, for writing them as files. */
export function trainedAdapter(
  path: string,
  base: LoraAdapter['base'],
  source: Pick<TensorSource, 'tensors'>,
  parameters: readonly LoraParameter[],
  model: Pick<TrainableModel, 'read'>,
): LoraAdapter {
  const tensors = new Map<string, LoraTensor>();
  const owners = new Map<
    string,
    { readonly parameter: LoraParameter; readonly firstRow: number; readonly allRows: number }
  >();
  for (const parameter of parameters) {
    const shapes = parameter.tensors.map((name) => source.tensors.get(name)!.shape);
    const allRows = shapes.reduce((sum, [, rows = 1]) => sum + rows, 0);
    let firstRow = 0;
    for (const [i, name] of parameter.tensors.entries()) {
      const [columns = 1, rows = 1, count = 1] = shapes[i]!;
      const experts = isExpertWeight(name) ? count : 1;
      tensors.set(name, { name, columns, rows, rank: parameter.rank, experts, scale: parameter.scale });
      owners.set(name, { parameter, firstRow, allRows });
      firstRow += rows;
    }
  }
  return {
    path,
    base,
    tensors,
    async read(name): Promise<LoraWeights> {
      const { rows, rank, experts } = tensors.get(name)!;
      const { parameter, firstRow, allRows } = owners.get(name)!;
      const a = await model.read(`${parameter.tensors[0]}.lora_a`, 'value');
      const all = await model.read(`${parameter.tensors[0]}.lora_b`, 'value');
      if (allRows === rows) return { a, b: all };
      const b = new Float32Array(experts * rows * rank);
      for (let expert = 0; expert < experts; expert++) {
        const from = (expert * allRows + firstRow) * rank;
        b.set(all.subarray(from, from + rows * rank), expert * rows * rank);
      }
      return { a, b };
    },
    close: async () => {},
  };
}
