import { writeFileAtomic } from '../../base/atomic-file.js';
import { FileReader } from '../../base/file-reader.js';
import { decodeUtf8, hasControlCharacter, quote } from '../../base/text.js';
import { badImatrix, checkValues } from './checks.js';
import { sortedEntries } from './gguf-imatrix.js';
import type { Imatrix, ImatrixEntry } from './imatrix.js';

// The form before GGUF (llama.cpp, tools/imatrix, `--output-format dat`), little-endian:
//   i32 entries; per entry: i32 length, name; i32 calls; i32 values, f32[values] = mean square × calls
//   and perhaps: i32 chunks; i32 length, name of the text
// Experts lie one after another in an entry, which does not say how many they are, nor how many rows each one saw.

/** Limits on what a file may ask for before its own size is held against it. */
const MAX_ENTRIES = 1_000_000;
const MAX_NAME_BYTES = 1024;
const MAX_DATASET_BYTES = 65_536;

/**
 * Reads the legacy form. Sums and counts are restored as if each call had seen `chunkSize` rows, as llama-imatrix
 * does when it adds to such a file; entries have one count.
 */
export async function readLegacyImatrix(path: string, chunkSize: number): Promise<Imatrix> {
  const reader = await FileReader.open(path);
  try {
    const cursor = new Cursor(reader);
    const entryCount = await cursor.count('the number of entries', MAX_ENTRIES, MIN_ENTRY_BYTES);
    const entries = new Map<string, ImatrixEntry>();
    for (let i = 0; i < entryCount; i++) {
      const name = await cursor.text('a tensor name', MAX_NAME_BYTES);
      if (name === '' || entries.has(name)) {
        const found = name === '' ? 'an empty one' : `${quote(name)} twice`;
        throw badImatrix(path, 'imatrix-bad-name', `expected a new name for entry ${i}, found ${found}`);
      }
      entries.set(name, await readEntry(cursor, name, chunkSize));
    }
    const chunkCount = cursor.left > 0 ? await cursor.count('the number of chunks') : 0;
    const dataset = cursor.left > 0 ? await cursor.text('the name of the text', MAX_DATASET_BYTES) : '';
    if (cursor.left > 0) {
      throw badImatrix(path, 'imatrix-trailing-bytes', `${cursor.left} bytes follow the last field`);
    }
    return { datasets: dataset === '' ? [] : [dataset], chunkCount, chunkSize, entries };
  } finally {
    await reader.close();
  }
}

/** A name of one byte, calls, the number of values and one value. */
const MIN_ENTRY_BYTES = 4 + 1 + 4 + 4 + 4;

async function readEntry(cursor: Cursor, name: string, chunkSize: number): Promise<ImatrixEntry> {
  // Files without a number of calls hold the mean itself.
  const calls = Math.max(1, await cursor.count(`the calls of ${quote(name)}`));
  const values = await cursor.count(`the values of ${quote(name)}`, undefined, 4);
  if (values === 0) throw badImatrix(cursor.path, 'imatrix-bad-shape', `${quote(name)} has no values`);
  const sums = await cursor.floats(values);
  for (let i = 0; i < values; i++) sums[i]! *= chunkSize;
  const entry = { sums, counts: [calls * chunkSize] };
  checkValues(cursor.path, name, entry);
  return entry;
}

/** Reads the fields of a file one after the other; nothing is allocated that the file cannot fill. */
class Cursor {
  readonly path: string;
  readonly #reader: FileReader;
  #offset = 0;

  constructor(reader: FileReader) {
    this.path = reader.path;
    this.#reader = reader;
  }

  get left(): number {
    return this.#reader.size - this.#offset;
  }

  /** A number that is not negative, of things that take at least `bytesEach`. */
  async count(what: string, limit = 0x7fffffff, bytesEach = 0): Promise<number> {
    const value = (await this.#take(4)).readInt32LE();
    if (value < 0 || value > limit) {
      throw badImatrix(this.path, 'imatrix-bad-count', `${what}: expected 0 to ${limit}, found ${value}`);
    }
    if (value * bytesEach > this.left) {
      throw this.#truncated(`${what} is ${value}, which takes ${value * bytesEach} bytes`);
    }
    return value;
  }

  async text(what: string, limit: number): Promise<string> {
    const length = await this.count(`the length of ${what}`, limit, 1);
    const bytes = await this.#take(length);
    const text = decodeUtf8(bytes, 0, length);
    if (text === undefined || hasControlCharacter(text)) {
      const start = this.#offset - length;
      throw badImatrix(this.path, 'imatrix-bad-name', `expected printable text for ${what} at byte ${start}`);
    }
    return text;
  }

  async floats(length: number): Promise<Float32Array> {
    const floats = new Float32Array(length);
    await this.#reader.read(this.#offset, new Uint8Array(floats.buffer));
    this.#offset += length * 4;
    return floats;
  }

  async #take(length: number): Promise<Buffer> {
    if (length > this.left) throw this.#truncated(`a field takes ${length} bytes`);
    const bytes = Buffer.alloc(length);
    await this.#reader.read(this.#offset, bytes);
    this.#offset += length;
    return bytes;
  }

  #truncated(what: string) {
    return badImatrix(
      this.path,
      'imatrix-truncated',
      `${what}, but ${this.left} are left at offset ${this.#offset}`,
    );
  }
}

/**
 * Writes the legacy form as llama-imatrix does: experts that saw no row get the importance 1 in every column, and
 * tensors of which no expert saw any are left out. The last text is named.
 */
export async function writeLegacyImatrix(path: string, imatrix: Imatrix): Promise<void> {
  const chunkSize = Math.max(1, imatrix.chunkSize);
  const parts: Uint8Array[] = [];
  let written = 0;
  for (const [name, { sums, counts }] of sortedEntries(imatrix)) {
    const most = Math.max(...Array.from(counts));
    if (most === 0) continue;
    const calls = Math.ceil(most / chunkSize);
    const columns = sums.length / counts.length;
    const values = Float32Array.from(sums, (sum, i) => {
      const count = counts[Math.floor(i / columns)]!;
      return (count === 0 ? 1 : sum / count) * calls;
    });
    parts.push(int32(Buffer.byteLength(name)), Buffer.from(name), int32(calls), int32(values.length));
    parts.push(new Uint8Array(values.buffer));
    written++;
  }
  const dataset = Buffer.from(imatrix.datasets.at(-1) ?? '');
  parts.push(int32(imatrix.chunkCount), int32(dataset.length), dataset);
  await writeFileAtomic(path, Buffer.concat([int32(written), ...parts]));
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
