import { formatBytes } from '../base/byte-size.js';
import { chunkOf, type ModelPlan } from './layout.js';

/**
 * What a planned model takes, in one line, for those who wait for it: weights, cache by kind of layer, buffers. Pure.
 *
 * @example
 * memory: weights 33.8 GB, cache of 1000000 tokens 50.4 GB (layers that keep every token (12): 49.2 GB; at most 8192
 * (36): 1.21 GB), compute 1.10 GB
 */
export function describeMemory({ layout, bytes }: ModelPlan, contextSize: number): string {
  const kinds = { full: { layers: 0, bytes: 0 }, chunked: { layers: 0, bytes: 0 } };
  let chunk = 0;
  for (const [index, { cache }] of layout.layers.entries()) {
    const own = chunkOf(layout.config, index);
    const kind = own > 0 && own < contextSize ? kinds.chunked : kinds.full;
    chunk = Math.max(chunk, own);
    kind.layers++;
    kind.bytes +=
      cache.heads.length * cache.heads[0]!.length * cache.capacity * (cache.keyBytes + cache.valueBytes);
  }
  const sequences = layout.layers[0]!.cache.heads.length;
  const parts = [
    `layers that keep every token (${kinds.full.layers}): ${formatBytes(kinds.full.bytes)}`,
    `at most ${chunk} (${kinds.chunked.layers}): ${formatBytes(kinds.chunked.bytes)}`,
  ];
  const cached = kinds.chunked.layers > 0 ? ` (${parts.join('; ')})` : '';
  const each = sequences > 1 ? `${sequences} × ` : '';
  const experts = bytes.expertCache > 0 ? `, read experts ${formatBytes(bytes.expertCache)}` : '';
  return (
    `memory: weights ${formatBytes(bytes.weights)}${experts}, ` +
    `cache of ${each}${contextSize} tokens ${formatBytes(bytes.cache)}${cached}, compute ${formatBytes(bytes.compute)}`
  );
}
