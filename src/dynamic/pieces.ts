import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { rowCount, type TensorInfo } from '../formats/tensor-source.js';
import type { TypePlan } from './type-plan.js';

/** Consecutive rows of one matrix, the unit in which a model is quantized. */
export interface Piece {
  readonly name: string;
  readonly from: GgmlType;
  readonly to: GgmlType;
  readonly columns: number;
  /** Counts over all matrices of the tensor. */
  readonly firstRow: number;
  readonly rows: number;
  /** The matrix of the tensor that the rows are of: the expert, in a stacked tensor. */
  readonly matrix: number;
}

/** Weights of a piece, at most, where a row does not have more: seconds of work at the slowest types. */
export const PIECE_WEIGHTS = 2 ** 19;

/** Cuts tensors into pieces, in order. Tensors absent from the plan keep their type. */
export function cutIntoPieces(tensors: Iterable<TensorInfo>, plan: TypePlan): Piece[] {
  const pieces: Piece[] = [];
  for (const { name, type: from, shape } of tensors) {
    const columns = shape[0]!;
    const rowsOfMatrix = shape[1] ?? 1;
    const most = Math.max(1, Math.floor(PIECE_WEIGHTS / columns));
    const rows = rowCount(shape);
    for (let firstRow = 0; firstRow < rows; ) {
      const matrix = Math.floor(firstRow / rowsOfMatrix);
      const count = Math.min(most, (matrix + 1) * rowsOfMatrix - firstRow);
      pieces.push({ name, from, to: plan.get(name) ?? from, columns, firstRow, rows: count, matrix });
      firstRow += count;
    }
  }
  return pieces;
}

export function sourceBytes({ from, columns, rows }: Piece): number {
  return rows * rowBytes(from, columns);
}

export function targetBytes({ to, columns, rows }: Piece): number {
  return rows * rowBytes(to, columns);
}

/** Bytes from the start of the tensor. */
export function targetOffset({ to, columns, firstRow }: Piece): number {
  return firstRow * rowBytes(to, columns);
}
