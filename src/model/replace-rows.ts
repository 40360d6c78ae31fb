import { CriaError } from '../base/errors.js';
import { rowCount } from '../formats/tensor-source.js';
import type { Placement } from './layout-builder.js';

/**
 * Overwrites rows `[firstRow, …)` of a loaded matrix with `bytes` in its own type; rows count over all experts.
 * Throws `bad-rows` for bytes that are not whole rows of it, `packed-rows` for a matrix laid out otherwise.
 */
export function writeRows(
  { info, pieces, form }: Placement,
  firstRow: number,
  bytes: Uint8Array,
  arenas: readonly Uint8Array[],
): void {
  const { name } = info;
  if (form !== 0) {
    throw new CriaError('internal', 'packed-rows', `'${name}' was packed when the model was loaded`);
  }
  const rowBytes = info.bytes / rowCount(info.shape);
  const start = firstRow * rowBytes;
  const end = start + bytes.length;
  if (!Number.isInteger(firstRow) || bytes.length % rowBytes !== 0 || start < 0 || end > info.bytes) {
    throw new CriaError(
      'internal',
      'bad-rows',
      `'${name}': ${bytes.length} bytes from row ${firstRow} are not rows of ${rowBytes} bytes among its ${info.bytes}`,
    );
  }
  let pieceStart = 0;
  for (const { arena, offset, rows } of pieces) {
    const pieceEnd = pieceStart + rows * rowBytes;
    const from = Math.max(start, pieceStart);
    const to = Math.min(end, pieceEnd);
    if (from < to) arenas[arena]!.set(bytes.subarray(from - start, to - start), offset + from - pieceStart);
    pieceStart = pieceEnd;
  }
}
