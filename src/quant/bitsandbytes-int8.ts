import { largestMagnitude } from './largest-magnitude.js';

/** What bitsandbytes multiplies by instead of dividing by 127. */
const UNIT = Math.fround(7.874015718698502e-3);

/**
 * Encodes rows as LLM.int8 does (Dettmers et al., 2022): 127 stands for the largest magnitude of the row, which is
 * kept in `scales` (`SCB` in the files); halves round to even. A row of magnitudes so small (3.7e-37) that 127 divided
 * by them is no float becomes zeros. Throws `non-finite-weights` (bad-file).
 */
export function encodeInt8Rows(
  source: Float32Array,
  columns: number,
  codes: Int8Array,
  scales: Float32Array,
): void {
  for (let row = 0; row < scales.length; row++) {
    const start = row * columns;
    const scale = largestMagnitude(source, start, start + columns);
    scales[row] = scale;
    const factor = Math.fround(127 / scale);
    for (let i = start; i < start + columns; i++) {
      codes[i] = scale > 0 ? roundHalfEven(Math.fround(source[i]! * factor)) : 0;
    }
  }
}

/** Decodes whole rows of `columns` weights. */
export function decodeInt8Rows(
  codes: Int8Array,
  columns: number,
  scales: Float32Array,
  target: Float32Array,
): void {
  for (let row = 0; row < scales.length; row++) {
    const scale = scales[row]!;
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      target[i] = Math.fround(codes[i]! * scale) * UNIT;
    }
  }
}

/** The sum with 1.5 × 2^23 has no bits for a fraction, and the addition rounds to even. */
function roundHalfEven(value: number): number {
  return Math.fround(value + 12582912) - 12582912;
}
