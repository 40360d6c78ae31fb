import { CriaError } from '../base/errors.js';
import type { Matrix, Piece } from '../engine/matrix.js';
import { rowCount, type TensorInfo } from '../formats/tensor-source.js';
import type { LayoutBuilder } from '../model/layout-builder.js';
import type { LoraParameter, ParameterInfo } from './types.js';

/** The adapter of one matrix, as products need it. */
export interface AdapterPlace {
  /** Of all adapters. */
  readonly index: number;
  readonly a: Matrix;
  readonly b: Matrix;
  /** Addresses, by piece. */
  readonly aGradients: readonly number[];
  readonly bGradients: readonly number[];
  readonly rank: number;
  readonly scale: number;
  /** The rows of each piece of `b` that are this matrix's. */
  readonly firstRow: number;
  readonly rows: number;
}

/** Trained values in one arena, behind which `trainedRoom` has gradients and moments. */
export interface Segment {
  readonly arena: number;
  readonly address: number;
  readonly elements: number;
  readonly decays: boolean;
}

/** A tensor that is trained, in its order. */
export interface PlacedParameter extends ParameterInfo {
  readonly segments: readonly Segment[];
  /** How an adapter's A begins: uniform in ±1/√columns. */
  readonly initialBound?: number;
}

export interface PlannedAdapter {
  readonly parameter: LoraParameter;
  readonly a: Matrix;
  readonly b: Matrix;
  readonly experts: number | undefined;
  /** Rows of each tensor, of one expert. */
  readonly rows: readonly number[];
}

export function placeAdapter(
  parameter: LoraParameter,
  tensors: ReadonlyMap<string, TensorInfo>,
  builder: LayoutBuilder,
): PlannedAdapter {
  const infos = parameter.tensors.map((name) => {
    const info = tensors.get(name);
    if (info === undefined || info.shape.length < 2 || name === 'token_embd.weight') {
      throw new CriaError(
        'usage',
        'bad-trainable',
        `expected a matrix of the network to adapt, found '${name}'`,
      );
    }
    return info;
  });
  const [first] = infos;
  const [columns, , experts] = first!.shape;
  const rows = infos.map((info) => info.shape[1]!);
  const { rank } = parameter;
  const name = first!.name;
  const count = experts ?? 1;
  const a = builder.floatMatrix(`${name}.lora_a`, columns!, rank, count, false);
  const b = builder.floatMatrix(
    `${name}.lora_b`,
    rank,
    rows.reduce((sum, n) => sum + n),
    count,
    false,
  );
  return { parameter, a, b, experts, rows };
}

export function adapterPlaces(
  { parameter, a, b, rows }: PlannedAdapter,
  index: number,
  gradientsOf: (matrix: Matrix) => readonly number[],
): [string, AdapterPlace][] {
  const { rank, scale } = parameter;
  let next = 0;
  return parameter.tensors.map((name, i) => {
    const firstRow = next;
    next += rows[i]!;
    const gradients = { aGradients: gradientsOf(a), bGradients: gradientsOf(b) };
    return [name, { index, a, b, ...gradients, rank, scale, firstRow, rows: rows[i]! }];
  });
}

export function adapterParameters({ a, b, experts }: PlannedAdapter): PlacedParameter[] {
  return [a, b].map((matrix) => {
    const shape = [matrix.columns, matrix.pieces[0]!.rows, ...(experts === undefined ? [] : [experts])];
    const placed = placedParameter(matrix.name, shape, matrix.pieces);
    return matrix === a ? { ...placed, initialBound: 1 / Math.sqrt(a.columns) } : placed;
  });
}

export function placedParameter(
  name: string,
  shape: readonly number[],
  pieces: readonly Piece[],
): PlacedParameter {
  const decays = rowCount(shape) > 1;
  const segments = pieces.map(({ rows, arena, offset }) => ({
    arena,
    address: offset,
    elements: rows * shape[0]!,
    decays,
  }));
  return { name, shape, decays, segments };
}
