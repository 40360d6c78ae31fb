import type { Address } from '../engine/arena-plan.js';
import { SEGMENT_POSITIONS, segmentLength } from '../engine/attention.js';
import { chunkOf, type ModelLayout } from './layout.js';

/** A run of bytes in one arena. */
export interface CacheRegion extends Address {
  readonly bytes: number;
}

/**
 * Where keys and values of a sequence's first `positions` positions lie, in a fixed order: by layer, head, segment;
 * keys before values. Of chunked layers only the last, unfinished chunk. Pure.
 */
export function cacheRegions(layout: ModelLayout, sequence: number, positions: number): CacheRegion[] {
  const regions: CacheRegion[] = [];
  for (const [index, { cache }] of layout.layers.entries()) {
    const chunk = chunkOf(layout.config, index);
    const rows = chunk > 0 ? positions % chunk : positions;
    for (const segments of cache.heads[sequence]!) {
      for (let s = 0; s * SEGMENT_POSITIONS < rows; s++) {
        const { arena, offset } = segments[s]!;
        const filled = Math.min(SEGMENT_POSITIONS, rows - s * SEGMENT_POSITIONS);
        const values = offset + segmentLength(cache.capacity, s) * cache.keyBytes;
        regions.push({ arena, offset, bytes: filled * cache.keyBytes });
        regions.push({ arena, offset: values, bytes: filled * cache.valueBytes });
      }
    }
  }
  return regions;
}
