import { CriaError } from '../base/errors.js';
import { elementCount, type TensorInfo, type TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import type { ModelPlan } from './layout.js';

export interface LoadWeightsOptions {
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Reads in flight at once: enough to keep a disk's queue busy. */
const PARALLEL_READS = 4;
/** One read is at most this long, so that progress moves and a cancellation is noticed. */
const READ_BYTES = 32 * 2 ** 20;

interface Read {
  readonly name: string;
  readonly firstRow: number;
  readonly rows: number;
  readonly target: Uint8Array;
}

function* weightReads(plan: WeightPlan, memories: readonly Uint8Array[]): Generator<Read> {
  for (const { info, pieces } of plan.matrices) {
    const rowBytes = info.bytes / pieces.reduce((sum, { rows }) => sum + rows, 0);
    const rowsPerRead = Math.max(1, Math.floor(READ_BYTES / rowBytes));
    let pieceRow = 0;
    for (const piece of pieces) {
      for (let row = 0; row < piece.rows; row += rowsPerRead) {
        const rows = Math.min(rowsPerRead, piece.rows - row);
        const start = piece.offset + row * rowBytes;
        const target = memories[piece.arena]!.subarray(start, start + rows * rowBytes);
        yield { name: info.name, firstRow: pieceRow + row, rows, target };
      }
      pieceRow += piece.rows;
    }
  }
}

/** The part of a plan that says what to read, and to where. */
export type WeightPlan = Pick<ModelPlan, 'matrices' | 'vectors'> & {
  readonly bytes: { readonly weights: number };
};

/** Fills the arenas with the model's weights: matrices as they are stored, vectors as F32. */
export async function loadWeights(
  source: TensorSource,
  plan: WeightPlan,
  memories: readonly Uint8Array[],
  options: LoadWeightsOptions = {},
): Promise<void> {
  for (const { info, offset } of plan.vectors) {
    memories[0]!.set(new Uint8Array((await readVector(source, info)).buffer), offset);
  }
  const total = plan.bytes.weights;
  let done = 0;
  const reads = weightReads(plan, memories);
  const worker = async () => {
    for (const { name, firstRow, rows, target } of reads) {
      if (options.signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'loading was cancelled');
      await source.readRows(name, firstRow, rows, target);
      done += target.length;
      options.onProgress?.(done, total);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, worker));
}

/** A small tensor as floats. */
export async function readVector(source: TensorSource, info: TensorInfo): Promise<Float32Array> {
  const bytes = new Uint8Array(info.bytes);
  await source.readRows(info.name, 0, 1, bytes);
  const floats = new Float32Array(elementCount(info.shape));
  blockFormat(info.type).decode(bytes, floats);
  return floats;
}
