import { CriaError } from '../../base/errors.js';
import { type GgmlType, ggmlType, rowBytes } from '../../formats/ggml-types.js';
import { f32ToF16 } from '../float.js';

export type Encode = (
  source: Float32Array,
  target: Uint8Array,
  columns: number,
  importance?: Float32Array,
) => void;

/**
 * Writes one block at `target[at]`, choosing the bytes that make Σ weights·(decoded − values)² small.
 * `values` and `weights` hold one block; the weights are positive. Neither is kept or changed.
 */
export type BlockEncoder = (
  values: Float64Array,
  weights: Float64Array,
  target: Uint8Array,
  at: number,
) => void;

/** Share of the mean importance that every column gets, so that columns never seen still round to the nearest. */
const IMPORTANCE_FLOOR = 1e-6;
const LARGEST_HALF = 65504;

/**
 * Turns the encoder of one block into one of whole rows. Refuses weights that are NaN or infinite
 * (`non-finite-weights`) and importances that are negative or not finite (`bad-importance`).
 */
export function rowEncoder(type: GgmlType, encodeBlock: BlockEncoder): Encode {
  const { blockSize, typeSize } = ggmlType(type);
  return (source, target, columns, importance) => {
    checkWeights(type, source, target, columns);
    const columnWeights = importance && normalizedImportance(importance, columns);
    const values = new Float64Array(blockSize);
    const weights = new Float64Array(blockSize).fill(1);
    let at = 0;
    for (let start = 0; start < source.length; start += blockSize) {
      values.set(source.subarray(start, start + blockSize));
      if (columnWeights) {
        const column = start % columns;
        weights.set(columnWeights.subarray(column, column + blockSize));
      }
      encodeBlock(values, weights, target, at);
      at += typeSize;
    }
  };
}

/** The one check of what every encoder is given: whole rows, a target of the right size, finite weights. */
export function checkWeights(
  type: GgmlType,
  source: Float32Array,
  target: Uint8Array,
  columns: number,
): void {
  const rows = source.length / columns;
  if (!Number.isInteger(rows)) {
    throw new CriaError(
      'internal',
      'encode-size-mismatch',
      `${source.length} weights are not whole rows of ${columns}`,
    );
  }
  const bytes = rows * rowBytes(type, columns);
  if (target.length !== bytes) {
    throw new CriaError(
      'internal',
      'encode-size-mismatch',
      `${source.length} weights as ${type} take ${bytes} bytes, the target has ${target.length}`,
    );
  }
  for (let i = 0; i < source.length; i++) {
    if (!Number.isFinite(source[i]!)) {
      throw new CriaError(
        'bad-file',
        'non-finite-weights',
        `cannot encode as ${type}: expected finite weights, found ${source[i]} at row ${Math.floor(i / columns)}, column ${i % columns}`,
      );
    }
  }
}

/** Importances divided by their mean, plus a small floor; all one where the mean is zero. */
export function normalizedImportance(importance: Float32Array, columns: number): Float32Array {
  if (importance.length !== columns) {
    throw new CriaError(
      'internal',
      'encode-size-mismatch',
      `expected one importance for each of ${columns} columns, found ${importance.length}`,
    );
  }
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    const value = importance[column]!;
    if (!(value >= 0 && value < Infinity)) {
      throw new CriaError(
        'bad-file',
        'bad-importance',
        `expected finite importances of at least 0, found ${value} at column ${column}`,
      );
    }
    sum += value;
  }
  const mean = sum / columns;
  const normalized = new Float32Array(columns).fill(1);
  if (mean > 0) {
    for (let column = 0; column < columns; column++) {
      normalized[column] = importance[column]! / mean + IMPORTANCE_FLOOR;
    }
  }
  return normalized;
}

/** Bits of the half nearest to a block scale; scales beyond the largest half saturate. */
export function scaleToHalf(scale: number): number {
  return f32ToF16(Math.min(Math.max(scale, -LARGEST_HALF), LARGEST_HALF));
}

export function writeHalf(target: Uint8Array, at: number, half: number): void {
  target[at] = half & 255;
  target[at + 1] = half >> 8;
}
