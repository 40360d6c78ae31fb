import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import { type CacheShape, cacheCapacity } from '../model/layout.js';

/** Memory a model is to fit, in bytes; with a GPU, layers and experts may lie in either. */
export interface Machine {
  readonly vram?: number;
  readonly ram?: number;
}

/** Positions whose keys and values must fit beside the weights: one attention chunk. */
const CONTEXT = 8192;
/** Activations and scratch of an engine; llama.cpp takes about as much per device. */
const COMPUTE_BYTES = 2 ** 29;
/** What the operating system and other programs keep of the main memory. */
const SYSTEM_BYTES = 2 ** 31;

/**
 * Largest model file that leaves room for the f16 cache of 8192 positions, for computing, and for the system. Pure.
 * Throws `machine-too-small` (usage) when nothing is left.
 */
export function largestFileFor(
  machine: Machine,
  config: CacheShape & Pick<Llama4Config, 'headCountKv' | 'headDim'>,
): number {
  const { vram = 0, ram = 0 } = machine;
  const { headCountKv, headDim } = config;
  const positions = config.ropeLayers.reduce(
    (sum, _, layer) => sum + cacheCapacity(config, layer, CONTEXT),
    0,
  );
  const cache = positions * headCountKv * headDim * 2 * 2;
  const reserved = cache + (vram > 0 ? COMPUTE_BYTES : 0) + (ram > 0 ? COMPUTE_BYTES + SYSTEM_BYTES : 0);
  const bytes = vram + ram - reserved;
  if (bytes <= 0) {
    const gb = (value: number) => `${(value / 1e9).toFixed(1)} GB`;
    throw new CriaError(
      'usage',
      'machine-too-small',
      `${gb(vram + ram)} of memory leave nothing for weights: the cache, computing and the system take ${gb(reserved)}`,
    );
  }
  return bytes;
}
