import { formatBytes } from '../base/byte-size.js';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { elementCount, rowCount, type TensorInfo } from '../formats/tensor-source.js';
import { textTable } from '../formats/text-table.js';
import { tensorKind } from './model-shape.js';
import { isQuantizable, type TypePlan } from './type-plan.js';

/** The tensors with the types and sizes they have under a plan. */
export function plannedTensors(tensors: Iterable<TensorInfo>, plan: TypePlan): TensorInfo[] {
  return Array.from(tensors, ({ name, type: stored, shape }) => {
    const type = plan.get(name) ?? stored;
    return { name, type, shape, bytes: rowCount(shape) * rowBytes(type, shape[0]!) };
  });
}

/** Tensor data per weight, headers not counted. */
export function bitsPerWeight(tensors: readonly TensorInfo[]): number {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const weights = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return (8 * bytes) / weights;
}

/** One line for each kind of weight matrix: its types, by layer where they differ, and its size. */
export function planTable(tensors: readonly TensorInfo[]): string[] {
  const kinds = new Map<string, TensorInfo[]>();
  for (const tensor of tensors) {
    const kind = isQuantizable(tensor) ? tensorKind(tensor.name).kind : 'norms, router and others';
    kinds.set(kind, [...(kinds.get(kind) ?? []), tensor]);
  }
  const rows = [...kinds].map(([kind, members]) => [
    kind,
    describeTypes(members),
    formatBytes(members.reduce((sum, { bytes }) => sum + bytes, 0)),
    bitsPerWeight(members).toFixed(2),
  ]);
  return textTable([['tensors', 'types', 'size', 'bits/weight'], ...rows], [2, 3]);
}

/** `Q4_K`, or `Q4_K 0-5, Q3_K 6-47` where layers differ. */
function describeTypes(tensors: readonly TensorInfo[]): string {
  const layers = new Map<GgmlType, number[]>();
  for (const { name, type } of tensors) {
    layers.set(type, [...(layers.get(type) ?? []), tensorKind(name).layer ?? 0]);
  }
  if (layers.size === 1) return [...layers.keys()][0]!;
  const present = [...new Set([...layers.values()].flat())].sort((a, b) => a - b);
  return [...layers].map(([type, list]) => `${type} ${describeLayers(list, present)}`).join(', ');
}

/** Runs of layers that follow each other among those that have the tensor: `0-5,8`. */
function describeLayers(layers: readonly number[], present: readonly number[]): string {
  const positions = [...new Set(layers)].map((layer) => present.indexOf(layer)).sort((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const position of positions) {
    const run = runs.at(-1);
    if (run && run[1] === position - 1) run[1] = position;
    else runs.push([position, position]);
  }
  return runs
    .map(([from, to]) => (from === to ? `${present[from]}` : `${present[from]}-${present[to]}`))
    .join(',');
}
