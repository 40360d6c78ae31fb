import type { VisionConfig } from '../convert/vision-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { planVision } from '../model/vision/vision-layout.js';
import { kernelTables } from '../quant/kernel-tables.js';

/** Bytes that a vision tower takes beside the text model once a picture is encoded. Pure; throws as `planVision`. */
export function visionMemory(
  config: VisionConfig,
  tensors: ReadonlyMap<string, TensorInfo>,
  threads: number,
): number {
  const { arenas } = planVision(config, tensors, { threads, tablesBytes: kernelTables().length });
  return arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
}
