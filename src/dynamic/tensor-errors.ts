import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { type ImatrixEntry, importanceOf } from '../formats/imatrix/index.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import { type RecodeJob, recodeRows } from './recode-rows.js';

/** What recodes rows: `EncodePool` on threads, or `inlineRecoder` on this one. */
export interface Recoder {
  recode(job: RecodeJob): Promise<void>;
}

export const inlineRecoder: Recoder = { recode: async (job) => recodeRows(job) };

export interface ErrorOptions {
  /** Entries of this model's tensors, see `entriesOfModel`. */
  readonly importance?: ReadonlyMap<string, ImatrixEntry>;
  readonly recoder: Recoder;
  /** Weights of a sample, about; default 2^16. At least 32 rows are taken, where there are so many. */
  readonly sampleWeights?: number;
}

/** Σ w·(x̂ − x)² / Σ w·x² over the sampled rows, by type; w is the sum of squared inputs of the column. */
export type TensorErrors = ReadonlyMap<GgmlType, number>;

const SAMPLE_WEIGHTS = 2 ** 16;
const MIN_ROWS = 32;

/** Sampled rows of one matrix of a tensor, decoded. */
export interface Sample {
  readonly matrix: number;
  readonly firstRow: number;
  readonly rows: number;
  readonly values: Float32Array;
}

/**
 * Measures how far each type moves the weights of one tensor, in the directions its inputs have. The rows are spread
 * evenly over the tensor, and over all experts of a stacked one, from a start that follows from its name: the same
 * model gives the same figures. Throws what the encoders throw.
 */
export async function tensorErrors(
  source: TensorSource,
  tensor: TensorInfo,
  types: readonly GgmlType[],
  options: ErrorOptions,
): Promise<TensorErrors> {
  const [columns, rows, matrices = 1] = tensor.shape as [number, number, number?];
  const entry = options.importance?.get(tensor.name);
  const wanted = Math.max(MIN_ROWS, Math.ceil((options.sampleWeights ?? SAMPLE_WEIGHTS) / columns));
  const samples = await readSamples(source, tensor, sampledRows(tensor.name, rows, matrices, wanted));
  const errors = await Promise.all(
    types.map(async (type): Promise<[GgmlType, number]> => {
      let error = 0;
      let norm = 0;
      const parts = samples.map((sample) => sampleError(tensor, sample, type, entry, options.recoder));
      for (const part of await Promise.all(parts)) {
        error += part.error;
        norm += part.norm;
      }
      return [type, norm > 0 ? error / norm : 0];
    }),
  );
  return new Map(errors);
}

/** Rows, by matrix: `[matrix, rows of it]`; about `wanted` in all, at least one of every matrix. */
export function sampledRows(
  name: string,
  rows: number,
  matrices: number,
  wanted: number,
): (readonly [matrix: number, rows: readonly number[]])[] {
  const perMatrix = Math.min(rows, Math.max(1, Math.ceil(wanted / matrices)));
  const stride = rows / perMatrix;
  let state = hash(name);
  return Array.from({ length: matrices }, (_, matrix) => {
    // A start per matrix, so that experts are not all sampled at the same neurons.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const offset = (state / 2 ** 32) * stride;
    return [matrix, Array.from({ length: perMatrix }, (_, i) => Math.floor(i * stride + offset))] as const;
  });
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}

/** Reads rows as `sampledRows` names them and decodes them. `tensor` is one of `source`. */
export async function readSamples(
  source: TensorSource,
  { name, type, shape }: TensorInfo,
  wanted: ReturnType<typeof sampledRows>,
): Promise<Sample[]> {
  const columns = shape[0]!;
  const bytesPerRow = rowBytes(type, columns);
  const samples: Sample[] = [];
  for (const [matrix, rows] of wanted) {
    const bytes = new Uint8Array(rows.length * bytesPerRow);
    for (let i = 0, run = 1; i < rows.length; i += run, run = 1) {
      while (rows[i + run] === rows[i]! + run) run++;
      const target = bytes.subarray(i * bytesPerRow, (i + run) * bytesPerRow);
      await source.readRows(name, matrix * shape[1]! + rows[i]!, run, target);
    }
    const values = new Float32Array(rows.length * columns);
    blockFormat(type).decode(bytes, values);
    samples.push({ matrix, firstRow: matrix * shape[1]! + rows[0]!, rows: rows.length, values });
  }
  return samples;
}

async function sampleError(
  { name, shape }: TensorInfo,
  { matrix, firstRow, rows, values }: Sample,
  type: GgmlType,
  entry: ImatrixEntry | undefined,
  recoder: Recoder,
): Promise<WeightedError> {
  const columns = shape[0]!;
  const encoded = new Uint8Array(new SharedArrayBuffer(rows * rowBytes(type, columns)));
  const shared = new Float32Array(new SharedArrayBuffer(values.byteLength));
  shared.set(values);
  await recoder.recode({
    piece: { name, from: 'F32', to: type, columns, firstRow, rows, matrix },
    source: new Uint8Array(shared.buffer),
    target: encoded,
    importance: entry && importanceOf(entry, matrix),
  });
  const decoded = new Float32Array(values.length);
  blockFormat(type).decode(encoded, decoded);
  return weightedError(values, decoded, columns, entry, matrix);
}

/** Σ w·(x̂ − x)² and Σ w·x² over rows of one matrix; w is the sum of squared inputs of the column, or 1. */
export interface WeightedError {
  readonly error: number;
  readonly norm: number;
}

export function weightedError(
  original: Float32Array,
  rounded: Float32Array,
  columns: number,
  entry: ImatrixEntry | undefined,
  matrix: number,
): WeightedError {
  const weights = entry?.sums.subarray(matrix * columns, (matrix + 1) * columns);
  let error = 0;
  let norm = 0;
  for (let i = 0; i < original.length; i++) {
    const weight = weights === undefined ? 1 : weights[i % columns]!;
    error += weight * (rounded[i]! - original[i]!) ** 2;
    norm += weight * original[i]! ** 2;
  }
  return { error, norm };
}
