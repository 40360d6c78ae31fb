import type { Footprint } from './footprint.js';
import type { Placement } from './placement.js';

/** Reading rates in bytes per second. */
export interface Bandwidth {
  readonly ram: number;
  /** Of each GPU. */
  readonly vram: readonly number[];
}

/**
 * Generated tokens per second when nothing but reading weights takes time, which is the case for one text at a time:
 * every device reads its part of the weights that one token needs. An upper bound, usually met to within a third.
 * Pure.
 */
export function generationSpeed(
  model: Footprint,
  usedShare: number,
  placement: Placement,
  bandwidth: Bandwidth,
): number {
  const read = (layers: readonly number[], of: 'resident' | 'experts') =>
    layers.reduce((sum, layer) => sum + model.layers[layer]![of] * (of === 'experts' ? usedShare : 1), 0);
  let seconds = 0;
  const onGpu = placement.gpus.some(({ layers }) => layers.length > 0);
  for (const [gpu, { layers, expertLayers }] of placement.gpus.entries()) {
    const output = onGpu && gpu === placement.gpus.length - 1 ? model.output : 0;
    seconds += (output + read(layers, 'resident') + read(expertLayers, 'experts')) / bandwidth.vram[gpu]!;
  }
  const { ramLayers, ramExpertLayers } = placement;
  const inRam = read(ramLayers, 'resident') + read(ramLayers, 'experts') + read(ramExpertLayers, 'experts');
  return 1 / (seconds + (inRam + (onGpu ? 0 : model.output)) / bandwidth.ram);
}
