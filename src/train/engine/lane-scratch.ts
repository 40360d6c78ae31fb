import { laneScratchBytes } from '../../engine/operations.js';

/** What the training kernels need at most (`productScratchBytes`, `attentionScratchBytes`). */
export const KERNEL_SCRATCH_BYTES = 2 ** 19;
/** Weights that are not floats in the home arena are made so for this many bytes at a time, or a row. */
const WEIGHT_BYTES = 2 ** 22;

/** Offsets of a lane's scratch, alike in every arena. */
export interface LaneScratch {
  readonly kernels: number;
  readonly dequantize: number;
  /** A row of floats of any matrix. */
  readonly row: number;
  readonly weights: number;
  readonly weightBytes: number;
  readonly bytes: number;
}

/** @param widest columns of the widest matrix @param largest floats of the largest that may need to be unpacked */
export function planScratch(widest: number, largest: number, headDim: number): LaneScratch {
  const aligned = (bytes: number) => Math.ceil(bytes / 64) * 64;
  const dequantize = KERNEL_SCRATCH_BYTES;
  const row = dequantize + aligned(laneScratchBytes(widest, headDim, 1));
  const weights = row + aligned(4 * widest);
  const weightBytes = aligned(Math.max(4 * widest, Math.min(WEIGHT_BYTES, 4 * largest)));
  return { kernels: 0, dequantize, row, weights, weightBytes, bytes: weights + weightBytes };
}
