import { CriaError } from '../base/errors.js';
import type { PackJob } from '../engine/packing.js';
import { elementCount, type TensorInfo, type TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import { PANEL_ROWS } from '../quant/packed-layout.js';
import { LOADING_SLOTS, type ModelPlan } from './layout.js';
import type { Placement } from './layout-builder.js';

export interface LoadWeightsOptions {
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Lays out rows that were read; one job at a time. */
export type Pack = (job: PackJob) => Promise<void>;

/** Reads in flight at once: enough to keep a disk's queue busy. */
const PARALLEL_READS = LOADING_SLOTS;
/** One read is at most this long, so that progress moves and a cancellation is noticed. */
const READ_BYTES = 32 * 2 ** 20;

/** Consecutive rows of one piece of a matrix. */
interface Read {
  readonly placement: Placement;
  readonly rowBytes: number;
  /** In the tensor. */
  readonly firstRow: number;
  readonly rows: number;
  readonly arena: number;
  /** Where the rows, or their panels, belong. */
  readonly target: number;
}

/** @param slotBytes longest read of rows that get packed */
function* weightReads(matrices: readonly Placement[], slotBytes: number): Generator<Read> {
  for (const placement of matrices) {
    const { info, pieces, form, panelBytes } = placement;
    const rowBytes = info.bytes / pieces.reduce((sum, { rows }) => sum + rows, 0);
    const step = form === 0 ? 1 : PANEL_ROWS;
    const most = form === 0 ? READ_BYTES : Math.min(READ_BYTES, slotBytes);
    const rowsPerRead = Math.max(1, Math.floor(most / rowBytes / step)) * step;
    let pieceRow = 0;
    for (const piece of pieces) {
      for (let row = 0; row < piece.rows; row += rowsPerRead) {
        const rows = Math.min(rowsPerRead, piece.rows - row);
        const start = form === 0 ? row * rowBytes : (row / PANEL_ROWS) * panelBytes;
        const target = piece.offset + start;
        yield { placement, rowBytes, firstRow: pieceRow + row, rows, arena: piece.arena, target };
      }
      pieceRow += piece.rows;
    }
  }
}

/** The part of a plan that says what to read, and to where. */
export type WeightPlan = Pick<ModelPlan, 'matrices' | 'vectors'> & Partial<Pick<ModelPlan, 'loading'>>;

/**
 * Fills the arenas with the model's weights: matrices as they are stored or packed, vectors as F32. Rows to pack are
 * read to the plan's room for loading, other rows straight to their places; the next are read while some are packed.
 */
export async function loadWeights(
  source: TensorSource,
  plan: WeightPlan,
  memories: readonly Uint8Array[],
  options: LoadWeightsOptions = {},
  pack?: Pack,
): Promise<void> {
  for (const { info, offset } of plan.vectors) {
    memories[0]!.set(new Uint8Array((await readVector(source, info)).buffer), offset);
  }
  const total = plan.matrices.reduce((sum, { info }) => sum + info.bytes, 0);
  let done = 0;
  let packing = Promise.resolve();
  const { offset, bytes } = plan.loading ?? { offset: 0, bytes: 0 };
  const slotBytes = Math.floor(bytes / PARALLEL_READS / 64) * 64;
  const reads = weightReads(plan.matrices, slotBytes);
  const worker = async (slot: number) => {
    for (const { placement, rowBytes, firstRow, rows, arena, target } of reads) {
      if (options.signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'loading was cancelled');
      const { info, form, panelBytes } = placement;
      const start = form === 0 ? target : slot;
      const read = memories[arena]!.subarray(start, start + rows * rowBytes);
      await source.readRows(info.name, firstRow, rows, read);
      if (form !== 0) {
        const { shape } = info;
        const panels = rows / PANEL_ROWS;
        const job = { form, arena, source: slot, rowBytes, columns: shape[0]!, target, panelBytes, panels };
        packing = packing.then(() => pack!(job));
        await packing;
      }
      done += read.length;
      options.onProgress?.(done, total);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, (_, i) => worker(offset + i * slotBytes)));
}

/** A small tensor as floats. */
export async function readVector(source: TensorSource, info: TensorInfo): Promise<Float32Array> {
  const bytes = new Uint8Array(info.bytes);
  await source.readRows(info.name, 0, 1, bytes);
  const floats = new Float32Array(elementCount(info.shape));
  blockFormat(info.type).decode(bytes, floats);
  return floats;
}
