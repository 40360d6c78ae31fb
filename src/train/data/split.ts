import { hash32 } from './shuffle.js';

/** A stream of pseudorandom numbers that no epoch has. */
const SPLIT_STREAM = -1;

/**
 * Picks a share of rows for validation. Which ones follows from the seed and the number of rows in the files, used or
 * not, and so not from the context, the packing or anything else that concerns training: at least one row where there
 * are two or more, and never all.
 *
 * @param rows how many rows there are
 */
export function validationRows(rows: number, ratio: number, seed: number): Set<number> {
  if (!(ratio > 0) || rows < 2) return new Set();
  const count = Math.min(rows - 1, Math.max(1, Math.round(ratio * rows)));
  const keys = Float64Array.from({ length: rows }, (_, row) => hash32(seed, SPLIT_STREAM, row));
  const order = Array.from({ length: rows }, (_, row) => row).sort((a, b) => keys[a]! - keys[b]! || a - b);
  return new Set(order.slice(0, count));
}
