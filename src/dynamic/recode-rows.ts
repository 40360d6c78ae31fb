import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import { blockFormat, WEIGHT_TYPES } from '../quant/index.js';
import { unbiasRows } from '../quant/unbias-rows.js';
import type { Piece } from './pieces.js';

/** A piece with its bytes. The arrays view shared memory and are exactly as long as the rows need. */
export interface RecodeJob {
  readonly piece: Piece;
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  /** One weight per column. */
  readonly importance?: Float32Array;
}

let scratch = new Float32Array(0);

/**
 * Fills `target` with the rows of `source` in the planned type; rows that have it already are copied. Throws
 * `non-finite-weights` (bad-file), naming the tensor, for NaN and infinities.
 */
export function recodeRows({ piece, source, target, importance }: RecodeJob): void {
  const { from, to, columns, rows } = piece;
  if (!WEIGHT_TYPES.includes(from)) {
    target.set(source);
    return;
  }
  const weights = columns * rows;
  if (scratch.length < weights) scratch = new Float32Array(weights);
  const values = scratch.subarray(0, weights);
  blockFormat(from).decode(source, values);
  checkFinite(piece, values);
  if (from === to) {
    target.set(source);
    return;
  }
  blockFormat(to).encode!(values, target, columns, importance);
  unbiasRows(to, target, values, columns, importance);
}

function checkFinite({ name, columns, firstRow }: Piece, values: Float32Array): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw new CriaError(
    'bad-file',
    'non-finite-weights',
    `tensor ${quote(name)}: expected finite weights, found ${values[at]} at row ` +
      `${firstRow + Math.floor(at / columns)}, column ${at % columns}`,
  );
}
