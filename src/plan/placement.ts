import type { Footprint } from './footprint.js';

/** Memory that a model may take, in bytes. */
export interface MachineMemory {
  /** Of each GPU. */
  readonly vram: readonly number[];
  /** Main memory, without what the system keeps. */
  readonly ram: number;
}

/** What one device holds of a model. */
export interface DeviceShare {
  /** Layers whose attention and shared weights, and whose cache, are here. */
  readonly layers: readonly number[];
  /** Those of them whose routed experts are here, too. */
  readonly expertLayers: readonly number[];
  /** Weights, cache and buffers. */
  readonly bytes: number;
}

/** A distribution over GPUs and main memory as llama.cpp can be told to make it. */
export interface Placement {
  readonly gpus: readonly DeviceShare[];
  /** Layers wholly in main memory. */
  readonly ramLayers: readonly number[];
  /** Layers whose routed experts alone are in main memory. */
  readonly ramExpertLayers: readonly number[];
  readonly ramBytes: number;
  /** Bytes that fit nowhere; 0 when the model fits. */
  readonly missing: number;
}

/** Buffers of a back end for a batch of 512: logits of a vocabulary of 202,048 take 0.4 GB of it. */
export const COMPUTE_BYTES = 2 ** 30;

/**
 * Puts a model into the memory of GPUs first: attention, shared experts and cache of all layers, as they are read for
 * every token, then the routed experts of as many layers as there is room for; the rest goes to main memory. Where
 * the layers do not all fit, the last ones do, which is what `--n-gpu-layers` means. The embedding stays in main
 * memory, where one row of it is read per token. Pure.
 * @param cacheBytes bytes of keys and values per layer
 */
export function placeModel(
  model: Footprint,
  cacheBytes: readonly number[],
  machine: MachineMemory,
): Placement {
  const room = machine.vram.map((bytes) => Math.max(0, bytes - COMPUTE_BYTES));
  const base = model.layers.map(({ resident }, layer) => resident + cacheBytes[layer]!);
  let gpus = room.length > 0 ? spread(base, base.length, model.output, room) : undefined;
  for (let count = base.length - 1; room.length > 0 && !gpus && count > 0; count--) {
    gpus = spread(base, count, model.output, room);
  }
  const shares = gpus ?? room.map(() => ({ layers: [], expertLayers: [], bytes: 0 }));
  const onGpu = new Set(shares.flatMap(({ layers }) => layers));
  for (const [gpu, share] of shares.entries()) {
    for (const layer of share.layers) {
      const bytes = model.layers[layer]!.experts;
      if (bytes === 0 || share.bytes + bytes > room[gpu]!) continue;
      share.expertLayers.push(layer);
      share.bytes += bytes;
    }
  }
  const expertsOnGpu = new Set(shares.flatMap(({ expertLayers }) => expertLayers));
  let ramBytes = model.embedding + (gpus ? 0 : model.output) + COMPUTE_BYTES;
  const ramLayers: number[] = [];
  const ramExpertLayers: number[] = [];
  for (const [layer, { experts }] of model.layers.entries()) {
    if (!onGpu.has(layer)) {
      ramLayers.push(layer);
      ramBytes += base[layer]! + experts;
    } else if (experts > 0 && !expertsOnGpu.has(layer)) {
      ramExpertLayers.push(layer);
      ramBytes += experts;
    }
  }
  return {
    gpus: shares.map((share) => ({ ...share, bytes: share.bytes + (share.bytes > 0 ? COMPUTE_BYTES : 0) })),
    ramLayers,
    ramExpertLayers,
    ramBytes,
    missing: Math.max(0, ramBytes - machine.ram),
  };
}

interface GrowingShare {
  readonly layers: number[];
  readonly expertLayers: number[];
  bytes: number;
}

/**
 * The last `count` layers over GPUs, each taking a run of them by its part of all room, the last one also the
 * output matrix; undefined when a GPU cannot hold its run.
 */
function spread(
  base: readonly number[],
  count: number,
  output: number,
  room: readonly number[],
): GrowingShare[] | undefined {
  const shares = room.map((): GrowingShare => ({ layers: [], expertLayers: [], bytes: 0 }));
  shares.at(-1)!.bytes += output;
  const whole = room.reduce((sum, bytes) => sum + bytes, 0);
  const ends = room.map((_, gpu) => room.slice(0, gpu + 1).reduce((sum, bytes) => sum + bytes, 0) / whole);
  for (let i = 0; i < count; i++) {
    const layer = base.length - count + i;
    const gpu = ends.findIndex((end) => (i + 0.5) / count <= end);
    const share = shares[gpu < 0 ? shares.length - 1 : gpu]!;
    share.layers.push(layer);
    share.bytes += base[layer]!;
  }
  return shares.every(({ bytes }, gpu) => bytes <= room[gpu]!) ? shares : undefined;
}
