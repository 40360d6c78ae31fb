import type { Llama4Config } from '../convert/llama4-config.js';
import type { CacheShape } from '../model/layout.js';

/** Element types a cache may have, and bytes of 32 elements. */
const BYTES_OF_32 = { f32: 128, f16: 64, q8_0: 34 } as const;

export type CacheElement = keyof typeof BYTES_OF_32;

export interface CacheTypes {
  readonly k: CacheElement;
  readonly v: CacheElement;
}

type Shape = CacheShape & Pick<Llama4Config, 'headCountKv' | 'headDim'>;

/** Bytes of keys and values of one position in one layer. */
function positionBytes({ headCountKv, headDim }: Shape, { k, v }: CacheTypes): number {
  return (headCountKv * headDim * (BYTES_OF_32[k] + BYTES_OF_32[v])) / 32;
}

/** Cells of a cache come in multiples of this in llama.cpp. */
const LLAMA_CPP_PADDING = 256;

/**
 * Bytes of llama.cpp's cache: chunked layers hold a chunk and one batch, as its log says ("creating SWA KV cache").
 * Pure.
 */
export function llamaCppCacheBytes(
  config: Shape,
  contextSize: number,
  types: CacheTypes,
  microBatch = 512,
): number {
  const padded = (cells: number) => Math.ceil(cells / LLAMA_CPP_PADDING) * LLAMA_CPP_PADDING;
  const full = padded(contextSize);
  const chunked = Math.min(full, padded(config.attentionChunkSize + microBatch));
  const cells = config.ropeLayers.reduce(
    (sum, rope) => sum + (rope && config.attentionChunkSize > 0 ? chunked : full),
    0,
  );
  return cells * positionBytes(config, types);
}
