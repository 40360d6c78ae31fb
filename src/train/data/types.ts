import type { ChatFormat } from '../../chat/index.js';
import type { Tokenizer } from '../../model/tokenizer/index.js';
import type { TrainingBatch } from '../types.js';

export type DataFormat = 'jsonl' | 'parquet' | 'text';

/** `sft`: text or answers to learn. `dpo`: pairs of answers, of which one is to become likelier than the other. */
export type DataMethod = 'sft' | 'dpo';

/** What becomes of a row with more tokens than the context: an error, nothing, or its beginning. */
export type OverlongRows = 'refuse' | 'skip' | 'truncate';

/** Where the text of one document of a plain text file ends: with the file, or at blank lines. */
export type TextUnit = 'file' | 'paragraph';

/** Makes pictures into input of the text model: the vision tower, as whoever has it loaded offers it. */
export interface PictureEncoder {
  /** Tokens of a picture file: special tokens, and negative ids of embedded rows. */
  encode(bytes: Uint8Array): Promise<{ readonly ids: readonly number[] }>;
  /** [width] the row of a negative id of the picture encoded last. */
  row(id: number): Float32Array;
}

export interface TrainingDataOptions {
  /** Files of rows, read in this order; each by its extension, or its first bytes. */
  readonly files: readonly string[];
  /** Rows to validate with, instead of some of `files`. */
  readonly validationFiles?: readonly string[];
  /** Share of the rows of `files` that is kept for validation, 0 (default) up to, not including, 1. */
  readonly validationRatio?: number;
  /** Decides, with the number of each row, which rows those are; default 0. */
  readonly splitSeed?: number;
  readonly method?: DataMethod;
  readonly tokenizer: Tokenizer;
  readonly chatFormat: ChatFormat;
  /** Rows with pictures are refused where there is none. */
  readonly pictures?: PictureEncoder;
  /** Most tokens of a sequence. */
  readonly contextSize: number;
  /** Most tokens of a batch; at least `contextSize`, for pairs twice that. */
  readonly maxTokens: number;
  /** Most examples (rows, windows of text, pairs) of a batch; default: as many as fit. 1 switches packing off. */
  readonly maxExamples?: number;
  /** Take the loss on answers and completions only; default true. Text is learnt as a whole either way. */
  readonly responsesOnly?: boolean;
  /** Lay `prompt` and `completion`, `chosen`, `rejected` that are strings out as turns of a chat; default false. */
  readonly promptsAsChat?: boolean;
  /** Default `refuse`. Text is never too long: it is cut into windows. */
  readonly overlong?: OverlongRows;
  /** Default `file`. */
  readonly textUnit?: TextUnit;
  /** Unusable rows that are skipped before the data are refused; default 100, 0 refuses the first. */
  readonly maxBadRows?: number;
  /** Bytes of prepared data that are kept in memory; the rest goes to `scratchFolder`. Default 256 MiB. */
  readonly memoryBytes?: number;
  /** Where a scratch file may be written (and is removed by `close`); default: the system's temporary folder. */
  readonly scratchFolder?: string;
  /** Called now and then while files are read. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A row that is not used, and why. */
export interface SkippedRow {
  readonly file: string;
  /** Line of a text or JSONL file, row of a Parquet file; from 1. */
  readonly row: number;
  readonly reason: string;
}

export interface DataCounts {
  /** Rows that are used. */
  readonly rows: number;
  /** Sequences (of text: windows), or pairs. */
  readonly examples: number;
  readonly tokens: number;
  /** Tokens with a target. */
  readonly trained: number;
}

/** A batch, and how much is in it. In batches of pairs, sequence 2k is chosen and 2k + 1 rejected. */
export interface DataBatch extends TrainingBatch {
  /** Sequences, or pairs. */
  readonly examples: number;
  /** Tokens with a target. */
  readonly trained: number;
}

/** Rows as tokens, ready to be learnt from in any order. */
export interface TrainingData {
  readonly training: DataCounts;
  readonly validating: DataCounts;
  /** Rows that were unusable, or longer than the context where such are skipped. */
  readonly skipped: readonly SkippedRow[];
  /** Sequences that were cut to the context. */
  readonly truncated: number;
  /** Changes when the prepared examples do: a run is continued on the same data or not at all. */
  readonly fingerprint: string;
  /** Batches of an epoch. */
  batches(seed: number, epoch: number): number;
  /** The batches of an epoch (from 0), in an order that follows from the seed, beginning with batch `from`. */
  epoch(seed: number, epoch: number, from?: number): AsyncIterable<DataBatch>;
  /** The batches to validate with, always in the same order; none without such rows. */
  validation(): AsyncIterable<DataBatch>;
  /** Removes the scratch file. */
  close(): Promise<void>;
}
