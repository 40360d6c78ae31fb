import type { Arena } from './lane.js';

/** Floats `[rows][columns]` in the home arena. */
export interface Buffer {
  readonly offset: number;
  readonly columns: number;
}

/** Addresses, equal in every arena, where activations are put beside the weights that need them. */
export interface Staging {
  /** f32 [tokens][columns] */
  readonly x: number;
  /** Quantized, in blocks of bytes or of words `[columns / 32][tokens of the run]`: see assembly/activations.ts */
  readonly byteBlocks: number;
  readonly wordBlocks: number;
  /** Results on their way home: a region per lane, `laneOutputBytes` apart. */
  readonly y: number;
  readonly laneOutputBytes: number;
  /** Results of spans of keys before they are folded together: see attention.ts. */
  readonly partials: number;
  readonly partialBytes: number;
}

/** Where a lane puts results that it then copies home; no other lane writes there. */
export function outputRegion(staging: Staging, rank: number): number {
  return staging.y + rank * staging.laneOutputBytes;
}

/** Copies `count` rows of `bytes` bytes between arenas. */
export function copyRows(
  from: Arena,
  source: number,
  sourceStride: number,
  to: Arena,
  target: number,
  targetStride: number,
  count: number,
  bytes: number,
): void {
  for (let i = 0; i < count; i++) {
    const start = source + i * sourceStride;
    to.u8.set(from.u8.subarray(start, start + bytes), target + i * targetStride);
  }
}
