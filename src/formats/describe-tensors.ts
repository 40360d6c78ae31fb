import { formatBytes } from '../base/byte-size.js';
import { quote } from '../base/text.js';
import { elementCount } from './tensor-source.js';
import { textTable } from './text-table.js';

/** One tensor as `cria inspect` shows it. */
export interface TensorDescription {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Bytes from the start of its file. */
  readonly offset: number;
  /** Index of its file. */
  readonly part: number;
}

export interface TypeTotal {
  readonly type: string;
  readonly tensors: number;
  readonly weights: number;
  readonly bytes: number;
}

export interface PartDescription {
  readonly path: string;
  readonly bytes: number;
  readonly tensors: number;
}

/** What GGUF and safetensors models have in common. */
export interface ModelDescription {
  readonly path: string;
  /** Bytes of all files. */
  readonly bytes: number;
  readonly parts: readonly PartDescription[];
  readonly weights: number;
  readonly tensorBytes: number;
  /** Bits of tensor data per weight; 0 without weights. */
  readonly bitsPerWeight: number;
  /** Largest first. */
  readonly types: readonly TypeTotal[];
  readonly tensors: readonly TensorDescription[];
}

/** Totals over tensors in file order. */
export function describeTensors(
  path: string,
  parts: readonly { readonly path: string; readonly bytes: number }[],
  tensors: readonly TensorDescription[],
): ModelDescription {
  const totals = new Map<string, { type: string; tensors: number; weights: number; bytes: number }>();
  const tensorsInPart = parts.map(() => 0);
  for (const { type, shape, bytes, part } of tensors) {
    const total = totals.get(type) ?? { type, tensors: 0, weights: 0, bytes: 0 };
    total.tensors += 1;
    total.weights += elementCount(shape);
    total.bytes += bytes;
    totals.set(type, total);
    tensorsInPart[part]! += 1;
  }
  const types = [...totals.values()].sort((a, b) => b.bytes - a.bytes);
  const weights = types.reduce((sum, total) => sum + total.weights, 0);
  const tensorBytes = types.reduce((sum, total) => sum + total.bytes, 0);
  return {
    path,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    parts: parts.map((part, i) => ({ path: part.path, bytes: part.bytes, tensors: tensorsInPart[i]! })),
    weights,
    tensorBytes,
    bitsPerWeight: weights === 0 ? 0 : (8 * tensorBytes) / weights,
    types,
    tensors,
  };
}

/** The tensor table and the totals, for a terminal. */
export function renderTensors(model: ModelDescription): string[] {
  const rows = model.tensors.map(({ name, type, shape, bytes, offset, part }) => [
    plain(name),
    type,
    `[${shape.join(', ')}]`,
    formatBytes(bytes),
    model.parts.length === 1 ? `@${offset}` : `@${offset} in part ${part + 1}`,
  ]);
  const totals = model.types.map(({ type, tensors, weights, bytes }) => [
    type,
    `${tensors} tensors`,
    `${weights} weights`,
    formatBytes(bytes),
  ]);
  return [
    ...textTable([['tensor', 'type', 'shape', 'size', 'offset'], ...rows], [3]),
    '',
    ...textTable(totals, [1, 2, 3]),
    `${model.tensors.length} tensors, ${model.weights} weights, ${formatBytes(model.tensorBytes)}, ` +
      `${model.bitsPerWeight.toFixed(2)} bits per weight`,
  ];
}

/** The heading: which files there are. */
export function renderParts(model: ModelDescription, format: string): string[] {
  if (model.parts.length === 1) return [`${model.path}: ${format}, ${formatBytes(model.bytes)}`];
  return [
    `${model.path}: ${format}, ${formatBytes(model.bytes)} in ${model.parts.length} parts`,
    ...textTable(
      model.parts.map(({ path, bytes, tensors }) => [`  ${path}`, formatBytes(bytes), `${tensors} tensors`]),
      [1, 2],
    ),
  ];
}

/** A name as it is when a terminal shows it as it is, otherwise quoted. */
export function plain(name: string): string {
  const quoted = quote(name, Number.POSITIVE_INFINITY);
  return quoted.slice(1, -1) === name ? name : quoted;
}
