import { tmpdir } from 'node:os';
import { CriaError } from '../../base/errors.js';
import { BlobStore } from './blob-store.js';
import { buildBatch } from './build-batch.js';
import { planEpoch } from './epoch-plan.js';
import { decodeExample } from './example.js';
import type { ExampleSet } from './example-set.js';
import { type BatchLimits, packExamples } from './packing.js';
import { PreparedPictures } from './prepared-pictures.js';
import { type ReadOptions, readFiles } from './read-files.js';
import { validationRows } from './split.js';
import type { DataBatch, DataCounts, SkippedRow, TrainingData, TrainingDataOptions } from './types.js';

const MEMORY_BYTES = 256 * 2 ** 20;
const MAX_BAD_ROWS = 100;

/**
 * Reads data files whole, once, row by row: what they say becomes tokens, which stay in memory up to a limit and go to
 * a scratch file beyond it. See docs/training-data.md for what is read.
 *
 * Throws (usage) `bad-value` for sizes that cannot be, `row-too-long`, `no-mmproj`; (bad-file) `unknown-data-format`,
 * `bad-parquet`, `not-text`, `bad-row`, `too-many-bad-rows`, `no-usable-row`; `cancelled`, and what `fileError` makes.
 */
export async function openTrainingData(options: TrainingDataOptions): Promise<TrainingData> {
  const readOptions = checked(options);
  const {
    memoryBytes = MEMORY_BYTES,
    scratchFolder = tmpdir(),
    validationRatio = 0,
    splitSeed = 0,
  } = options;
  const store = new BlobStore(memoryBytes, scratchFolder);
  try {
    const pictures = new PreparedPictures(store, options.pictures);
    const skipped: SkippedRow[] = [];
    const read = await readFiles(options.files, readOptions, store, pictures, skipped);
    const validating = options.validationFiles?.length
      ? await readFiles(options.validationFiles, readOptions, store, pictures, skipped)
      : undefined;
    const kept = validating ? new Set<number>() : validationRows(read.rows, validationRatio, splitSeed);
    const indexes = Array.from({ length: read.examples.length }, (_, example) => example);
    const isKept = (example: number) => kept.has(read.examples.rows[example]!);
    const training = indexes.filter((example) => !isKept(example));
    if (training.length === 0) {
      const message = 'expected rows to train with, found all usable rows kept for validation';
      throw new CriaError('bad-file', 'no-usable-row', message);
    }
    const hash = read.hash.copy();
    hash.update(`${[...kept].sort((a, b) => a - b)} `);
    if (validating) hash.update(validating.hash.digest());
    return new PreparedData({
      store,
      pictures,
      limits: limitsOf(options),
      training: { set: read.examples, examples: training },
      validating: validating
        ? { set: validating.examples, examples: Array.from(validating.examples.blobs.keys()) }
        : { set: read.examples, examples: indexes.filter(isKept) },
      skipped,
      truncated: read.truncated + (validating?.truncated ?? 0),
      fingerprint: hash.digest('hex'),
    });
  } catch (error) {
    await store.close();
    throw error;
  }
}

function limitsOf({ maxTokens, maxExamples = Number.POSITIVE_INFINITY }: TrainingDataOptions): BatchLimits {
  return { maxTokens, maxExamples };
}

function checked(options: TrainingDataOptions): ReadOptions {
  const { contextSize, maxTokens, maxExamples = 1, method = 'sft', validationRatio = 0 } = options;
  const least = method === 'dpo' ? 2 * contextSize : contextSize;
  const problem =
    contextSize < 2
      ? `a context of 2 tokens or more, found ${contextSize}`
      : maxTokens < least
        ? `room for ${least} tokens in a batch, found ${maxTokens}`
        : maxExamples < 1
          ? `at least 1 example in a batch, found ${maxExamples}`
          : !(validationRatio >= 0 && validationRatio < 1)
            ? `a share of rows for validation below 1, found ${validationRatio}`
            : undefined;
  if (problem) throw new CriaError('usage', 'bad-value', `training data: expected ${problem}`);
  return {
    tokenizer: options.tokenizer,
    format: options.chatFormat,
    method,
    contextSize,
    responsesOnly: options.responsesOnly ?? true,
    promptsAsChat: options.promptsAsChat ?? false,
    overlong: options.overlong ?? 'refuse',
    textUnit: options.textUnit ?? 'file',
    maxBadRows: options.maxBadRows ?? MAX_BAD_ROWS,
    onProgress: options.onProgress,
    signal: options.signal,
  };
}

interface Part {
  readonly set: ExampleSet;
  /** Which of the set. */
  readonly examples: readonly number[];
}

interface Prepared {
  readonly store: BlobStore;
  readonly pictures: PreparedPictures;
  readonly limits: BatchLimits;
  readonly training: Part;
  readonly validating: Part;
  readonly skipped: readonly SkippedRow[];
  readonly truncated: number;
  readonly fingerprint: string;
}

class PreparedData implements TrainingData {
  readonly training: DataCounts;
  readonly validating: DataCounts;
  readonly skipped: readonly SkippedRow[];
  readonly truncated: number;
  readonly fingerprint: string;
  readonly #data: Prepared;
  #plan: { readonly seed: number; readonly epoch: number; readonly batches: number[][] } | undefined;

  constructor(data: Prepared) {
    this.#data = data;
    this.training = counts(data.training);
    this.validating = counts(data.validating);
    this.skipped = data.skipped;
    this.truncated = data.truncated;
    this.fingerprint = data.fingerprint;
  }

  batches(seed: number, epoch: number): number {
    return this.#planned(seed, epoch).length;
  }

  async *epoch(seed: number, epoch: number, from = 0): AsyncGenerator<DataBatch> {
    const batches = this.#planned(seed, epoch);
    for (const batch of batches.slice(from)) yield await this.#build(this.#data.training.set, batch);
  }

  async *validation(): AsyncGenerator<DataBatch> {
    const { set, examples } = this.#data.validating;
    for (const batch of packExamples(examples, (example) => set.tokens(example), this.#data.limits)) {
      yield await this.#build(set, batch);
    }
  }

  async close(): Promise<void> {
    await this.#data.store.close();
  }

  #planned(seed: number, epoch: number): number[][] {
    if (this.#plan?.seed !== seed || this.#plan.epoch !== epoch) {
      const { training, limits } = this.#data;
      const tokens = (example: number) => training.set.tokens(example);
      this.#plan = { seed, epoch, batches: planEpoch(training.examples, tokens, limits, { seed, epoch }) };
    }
    return this.#plan.batches;
  }

  async #build(set: ExampleSet, batch: readonly number[]): Promise<DataBatch> {
    const { store, pictures } = this.#data;
    const examples = [];
    for (const example of batch) examples.push(decodeExample(await store.read(set.blobs[example]!)));
    const rowsOf = async (blob: number) => {
      const bytes = await store.read(blob);
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    };
    return buildBatch(examples, rowsOf, pictures.width);
  }
}

function counts({ set, examples }: Part): DataCounts {
  const total = (of: (example: number) => number) => examples.reduce((sum, example) => sum + of(example), 0);
  return {
    rows: new Set(examples.map((example) => set.rows[example])).size,
    examples: examples.length,
    tokens: total((example) => set.tokens(example)),
    trained: total((example) => set.trained(example)),
  };
}
