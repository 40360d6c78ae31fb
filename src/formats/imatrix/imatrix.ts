import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';

/** What the inputs of one weight tensor were like: for each input column, how large its squares were. */
export interface ImatrixEntry {
  /** Σ x² over the rows seen, `[matrices][columns]`; a tensor of experts has one matrix per expert. */
  readonly sums: Float32Array | Float64Array;
  /** Rows seen, per matrix. A legacy file has one count for all the experts of a tensor. */
  readonly counts: ArrayLike<number>;
}

/** An importance matrix: what llama-imatrix writes and llama-quantize reads. */
export interface Imatrix {
  /** Names of the texts it was made from. */
  readonly datasets: readonly string[];
  /** SHA-256 (hex) of these texts, by name, as far as it is known. Cria's own: llama-imatrix records names only. */
  readonly datasetHashes?: ReadonlyMap<string, string>;
  /** Windows of text evaluated. */
  readonly chunkCount: number;
  /** Tokens of a window. */
  readonly chunkSize: number;
  /** By the name of the weight tensor (`blk.0.attn_q.weight`). */
  readonly entries: ReadonlyMap<string, ImatrixEntry>;
}

/**
 * Mean square of each input column of one matrix, or undefined when no row was seen: every column is then equally
 * important for all one knows (llama.cpp takes 1.0).
 */
export function importanceOf({ sums, counts }: ImatrixEntry, matrix = 0): Float32Array | undefined {
  const columns = sums.length / counts.length;
  const count = counts[matrix]!;
  if (count === 0) return undefined;
  return Float32Array.from(sums.subarray(matrix * columns, (matrix + 1) * columns), (sum) => sum / count);
}

/**
 * The entry as one for a tensor of `matrices` matrices with `columns` columns; the single count of a legacy file
 * stands for every expert. Throws `imatrix-mismatch` (bad-file), which means that it belongs to another model.
 */
export function fitEntry(name: string, entry: ImatrixEntry, columns: number, matrices: number): ImatrixEntry {
  const { sums, counts } = entry;
  if (sums.length === columns * matrices) {
    if (counts.length === matrices) return entry;
    if (counts.length === 1) return { sums, counts: new Float64Array(matrices).fill(counts[0]!) };
  }
  throw new CriaError(
    'bad-file',
    'imatrix-mismatch',
    `${quote(name)}: expected importance data for ${matrices} × ${columns} columns, ` +
      `found ${counts.length} × ${sums.length / counts.length}; it was made with another model`,
  );
}

/**
 * Several matrices of one model as if all their text had been seen in one run: sums and counts add. `chunkSize` is
 * that of the last. Throws `imatrix-mismatch` where shapes differ.
 */
export function mergeImatrices(parts: readonly Imatrix[]): Imatrix {
  const entries = new Map<string, ImatrixEntry>();
  for (const part of parts) {
    for (const [name, entry] of part.entries) {
      const before = entries.get(name);
      entries.set(name, before === undefined ? entry : addEntries(name, before, entry));
    }
  }
  return {
    datasets: [...new Set(parts.flatMap(({ datasets }) => datasets))],
    datasetHashes: new Map(parts.flatMap(({ datasetHashes }) => [...(datasetHashes ?? [])])),
    chunkCount: parts.reduce((sum, { chunkCount }) => sum + chunkCount, 0),
    chunkSize: parts.at(-1)?.chunkSize ?? 0,
    entries,
  };
}

function addEntries(name: string, a: ImatrixEntry, b: ImatrixEntry): ImatrixEntry {
  const matrices = Math.max(a.counts.length, b.counts.length);
  const columns = a.sums.length / matrices;
  const [left, right] = [fitEntry(name, a, columns, matrices), fitEntry(name, b, columns, matrices)];
  return {
    sums: Float64Array.from(left.sums, (sum, i) => sum + right.sums[i]!),
    counts: Float64Array.from(left.counts, (count, i) => count + right.counts[i]!),
  };
}
