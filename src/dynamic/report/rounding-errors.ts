import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import type { ImatrixEntry } from '../../formats/imatrix/index.js';
import { elementCount, type TensorInfo, type TensorSource } from '../../formats/tensor-source.js';
import { roundToFourBit } from '../../quant/bitsandbytes-four-bit.js';
import { readSamples, type Sample, sampledRows, weightedError } from '../tensor-errors.js';
import { isQuantizable } from '../type-plan.js';

/** How far rounding moved the weights of a tensor: Σ w·(x̂ − x)² / Σ w·x². */
export interface RoundingError {
  /** With w the sum of squared inputs of the column; as `plain` where no importance data is known. */
  readonly weighted: number;
  /** With w = 1. */
  readonly plain: number;
}

/** What became of one weight matrix. */
export interface TensorRounding {
  /** In each file, in the order they were given. */
  readonly files: readonly RoundingError[];
  /** Rounded to bitsandbytes' 4 bits instead. */
  readonly nf4: RoundingError;
  /** Whether only some rows were looked at. */
  readonly sampled: boolean;
}

export interface RoundingOptions {
  /** Entries of this model's tensors, see `entriesOfModel`. */
  readonly importance?: ReadonlyMap<string, ImatrixEntry>;
  /** Weights looked at in each tensor, about; default 2^20, which is all of them in a small model. */
  readonly sampleWeights?: number;
  /** Called with the tensors done so far; may throw to stop. */
  readonly onProgress?: (done: number, total: number) => void;
}

const SAMPLE_WEIGHTS = 2 ** 20;

/**
 * Compares every weight matrix of quantized files with the original, on the same rows of each. Throws
 * `model-mismatch` (usage) for files of another model, and what the sources throw.
 */
export async function roundingErrors(
  original: TensorSource,
  files: readonly TensorSource[],
  options: RoundingOptions = {},
): Promise<ReadonlyMap<string, TensorRounding>> {
  const { importance, sampleWeights = SAMPLE_WEIGHTS, onProgress } = options;
  for (const file of files) checkSameModel(original, file);
  const tensors = [...original.tensors.values()].filter(isQuantizable);
  const errors = new Map<string, TensorRounding>();
  for (const [done, tensor] of tensors.entries()) {
    onProgress?.(done, tensors.length);
    const [columns, rows, matrices = 1] = tensor.shape as [number, number, number?];
    const wanted = sampledRows(tensor.name, rows, matrices, Math.ceil(sampleWeights / columns));
    const samples = await readSamples(original, tensor, wanted);
    const entry = importance?.get(tensor.name);
    const compare = (rounded: readonly Float32Array[]) => compareSamples(samples, rounded, columns, entry);
    const inFiles: RoundingError[] = [];
    for (const file of files) {
      const found = await readSamples(file, file.tensors.get(tensor.name)!, wanted);
      inFiles.push(compare(found.map(({ values }) => values)));
    }
    const nf4 = samples.map(({ values }) => {
      const rounded = new Float32Array(values.length);
      roundToFourBit('nf4', values, rounded);
      return rounded;
    });
    const read = samples.reduce((sum, { values }) => sum + values.length, 0);
    errors.set(tensor.name, {
      files: inFiles,
      nf4: compare(nf4),
      sampled: read < elementCount(tensor.shape),
    });
  }
  onProgress?.(tensors.length, tensors.length);
  return errors;
}

function checkSameModel(original: TensorSource, file: TensorSource): void {
  const mismatch = (found: string) =>
    new CriaError('usage', 'model-mismatch', `'${file.path}' is not '${original.path}' quantized: ${found}`);
  const shown = ({ shape }: TensorInfo) => shape.join(' × ');
  for (const expected of original.tensors.values()) {
    const found = file.tensors.get(expected.name);
    if (found === undefined) throw mismatch(`expected a tensor ${quote(expected.name)}, found none`);
    if (shown(found) !== shown(expected)) {
      throw mismatch(`expected ${quote(expected.name)} of ${shown(expected)}, found ${shown(found)}`);
    }
  }
  for (const { name } of file.tensors.values()) {
    if (!original.tensors.has(name))
      throw mismatch(`it has a tensor ${quote(name)} that the original has not`);
  }
}

function compareSamples(
  samples: readonly Sample[],
  rounded: readonly Float32Array[],
  columns: number,
  entry: ImatrixEntry | undefined,
): RoundingError {
  const ratio = (importance: ImatrixEntry | undefined) => {
    let error = 0;
    let norm = 0;
    for (const [i, { values, matrix }] of samples.entries()) {
      const part = weightedError(values, rounded[i]!, columns, importance, matrix);
      error += part.error;
      norm += part.norm;
    }
    return norm > 0 ? error / norm : 0;
  };
  const plain = ratio(undefined);
  return { plain, weighted: entry === undefined ? plain : ratio(entry) };
}
