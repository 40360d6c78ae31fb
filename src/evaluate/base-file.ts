import { AtomicFile } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { FileReader } from '../base/file-reader.js';
import { checkDiskSpace } from '../convert/output-checks.js';
import { readStoredRow, type StoredRow, storedRowWords, storeRow } from './stored-log-probs.js';

/*
 * The file of llama-perplexity's `--kl-divergence-base` (llama.cpp, tools/perplexity/perplexity.cpp), little-endian:
 * "_logits_", u32 window length, i32 vocabulary size, i32 windows, i32 token ids [windows, length] as they are in the
 * text (BOS is put at the start of each window when it is evaluated), then for each window the rows of
 * `stored-log-probs.ts` for positions ⌊length / 2⌋ to length − 2.
 */

const MAGIC = '_logits_';
const HEAD_BYTES = 20;

/** What the head of a file says. */
export interface BaseShape {
  /** Tokens of a window. */
  readonly contextSize: number;
  readonly vocabSize: number;
  /** Windows. */
  readonly chunks: number;
}

/** Scored positions of a window. */
function windowRows({ contextSize }: BaseShape): number {
  return contextSize - 1 - (contextSize >> 1);
}

function rowBytes({ vocabSize }: BaseShape): number {
  return storedRowWords(vocabSize) * 2;
}

function rowsOffset({ contextSize, chunks }: BaseShape): number {
  return HEAD_BYTES + contextSize * chunks * 4;
}

function fileBytes(shape: BaseShape): number {
  return rowsOffset(shape) + shape.chunks * windowRows(shape) * rowBytes(shape);
}

/** An open file of a reference's log-probabilities. */
export class BaseFile implements BaseShape {
  readonly contextSize: number;
  readonly vocabSize: number;
  readonly chunks: number;
  /** `[chunks, contextSize]` */
  readonly tokens: Int32Array;
  readonly #file: FileReader;

  private constructor(file: FileReader, { contextSize, vocabSize, chunks }: BaseShape, tokens: Int32Array) {
    this.contextSize = contextSize;
    this.vocabSize = vocabSize;
    this.chunks = chunks;
    this.tokens = tokens;
    this.#file = file;
  }

  /** Throws what `FileReader.open` throws, and `bad-base-file` (bad-file) for one that is not whole and sound. */
  static async open(path: string): Promise<BaseFile> {
    const file = await FileReader.open(path);
    try {
      const shape = await readHead(file);
      const tokens = new Int32Array(shape.chunks * shape.contextSize);
      await file.read(HEAD_BYTES, bytesOf(tokens));
      const stray = tokens.find((id) => id < 0 || id >= shape.vocabSize);
      if (stray !== undefined) {
        throw badFile(path, `expected token ids below ${shape.vocabSize}, found ${stray}`);
      }
      return new BaseFile(file, shape, tokens);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get path(): string {
    return this.#file.path;
  }

  /** Rows `[first, first + count)` of the scored positions of a window. */
  async readRows(chunk: number, first: number, count: number): Promise<readonly StoredRow[]> {
    const words = storedRowWords(this.vocabSize);
    const all = new Uint16Array(count * words);
    const index = chunk * windowRows(this) + first;
    await this.#file.read(rowsOffset(this) + index * rowBytes(this), bytesOf(all));
    return Array.from({ length: count }, (_, i) =>
      readStoredRow(
        all.subarray(i * words, (i + 1) * words),
        this.vocabSize,
        () => `'${this.path}', window ${chunk}, row ${first + i}`,
      ),
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function readHead(file: FileReader): Promise<BaseShape> {
  const head = new Uint8Array(HEAD_BYTES);
  if (file.size >= HEAD_BYTES) await file.read(0, head);
  if (Buffer.from(head.buffer, 0, MAGIC.length).toString('latin1') !== MAGIC) {
    throw badFile(file.path, `expected a file of --kl-divergence-base, which begins with '${MAGIC}'`);
  }
  const view = new DataView(head.buffer, MAGIC.length);
  const shape = {
    contextSize: view.getUint32(0, true),
    vocabSize: view.getInt32(4, true),
    chunks: view.getInt32(8, true),
  };
  if (shape.contextSize < 3 || shape.contextSize >= 2 ** 31 || shape.vocabSize < 1 || shape.chunks < 1) {
    throw badFile(
      file.path,
      `expected windows, tokens and a vocabulary, found ${shape.chunks} windows of ${shape.contextSize} tokens ` +
        `and a vocabulary of ${shape.vocabSize}`,
    );
  }
  const expected = fileBytes(shape);
  if (file.size !== expected) {
    throw badFile(
      file.path,
      `expected ${expected} bytes for ${shape.chunks} windows of ${shape.contextSize} tokens and a vocabulary of ` +
        `${shape.vocabSize}, found ${file.size}`,
    );
  }
  return shape;
}

/** Writes a base file row by row, in order; nothing is there before `commit`. */
export class BaseFileWriter {
  readonly #file: AtomicFile;
  readonly #vocabSize: number;
  #offset: number;

  private constructor(file: AtomicFile, shape: BaseShape) {
    this.#file = file;
    this.#vocabSize = shape.vocabSize;
    this.#offset = rowsOffset(shape);
  }

  /** @param tokens `[chunks, contextSize]`. Throws `disk-full` where space is short, and `not-a-base-file`. */
  static async create(path: string, shape: BaseShape, tokens: readonly number[]): Promise<BaseFileWriter> {
    if (shape.contextSize < 3) {
      const found = shape.contextSize;
      throw new CriaError('usage', 'bad-value', `stored windows need at least 3 tokens, found ${found}`);
    }
    await checkReplaceable(path);
    await checkDiskSpace(path, fileBytes(shape));
    const file = await AtomicFile.create(path);
    const writer = new BaseFileWriter(file, shape);
    const head = Buffer.alloc(HEAD_BYTES);
    head.write(MAGIC, 'latin1');
    head.writeUInt32LE(shape.contextSize, 8);
    head.writeInt32LE(shape.vocabSize, 12);
    head.writeInt32LE(shape.chunks, 16);
    try {
      await file.write(0, head);
      await file.write(HEAD_BYTES, bytesOf(Int32Array.from(tokens)));
    } catch (error) {
      await file.discard();
      throw error;
    }
    return writer;
  }

  /** @param logits `[rows, vocabSize]` of the next scored positions */
  async append(logits: Float32Array): Promise<void> {
    const vocab = this.#vocabSize;
    const words = storedRowWords(vocab);
    const rows = logits.length / vocab;
    const all = new Uint16Array(rows * words);
    for (let i = 0; i < rows; i++) {
      storeRow(logits.subarray(i * vocab, (i + 1) * vocab), all.subarray(i * words, (i + 1) * words));
    }
    await this.#file.write(this.#offset, bytesOf(all));
    this.#offset += all.byteLength;
  }

  commit(): Promise<void> {
    return this.#file.commit();
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }
}

/** A name mistyped must not cost a model: only base files are replaced. */
async function checkReplaceable(path: string): Promise<void> {
  let file: FileReader;
  try {
    file = await FileReader.open(path);
  } catch (error) {
    if (error instanceof CriaError && error.code === 'no-such-file') return;
    throw error;
  }
  const magic = Buffer.alloc(Math.min(file.size, MAGIC.length));
  await file.read(0, magic).finally(() => file.close());
  if (file.size > 0 && magic.toString('latin1') !== MAGIC) {
    throw new CriaError(
      'usage',
      'not-a-base-file',
      `'${path}' exists and is another kind of file: not replaced`,
    );
  }
}

function bytesOf(values: Int32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function badFile(path: string, problem: string): CriaError {
  return new CriaError('bad-file', 'bad-base-file', `'${path}': ${problem}`);
}
