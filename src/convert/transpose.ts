import { type GgmlType, ggmlType } from '../formats/ggml-types.js';

/** Numbers that are moved and not calculated with. */
export type Elements = Uint16Array | Uint32Array;

/** Room for `count` numbers of a 16-bit or 32-bit type. */
export function elementsOf(type: GgmlType, count: number): Elements {
  return ggmlType(type).typeSize === 2 ? new Uint16Array(count) : new Uint32Array(count);
}

export function bytesOf(elements: Elements): Uint8Array {
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

// Small enough that the lines a tile touches on both sides stay in the first-level cache.
const TILE = 32;

/** `target[row, column + i] = source[i, firstColumn + row]` for the strip's `count` source rows `i`. */
export function transposeStrip(
  source: Elements,
  width: number,
  firstColumn: number,
  rows: number,
  target: Elements,
  columns: number,
  column: number,
  count: number,
): void {
  for (let row0 = 0; row0 < rows; row0 += TILE) {
    const rowEnd = Math.min(row0 + TILE, rows);
    for (let i0 = 0; i0 < count; i0 += TILE) {
      const end = Math.min(i0 + TILE, count);
      for (let row = row0; row < rowEnd; row++) {
        const to = row * columns + column;
        for (let i = i0; i < end; i++) target[to + i] = source[i * width + firstColumn + row]!;
      }
    }
  }
}
