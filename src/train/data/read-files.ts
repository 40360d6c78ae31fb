import { createHash, type Hash } from 'node:crypto';
import { CriaError } from '../../base/errors.js';
import type { BlobStore } from './blob-store.js';
import { dataFormat, fileRows, fileSize } from './data-file.js';
import { encodeExample } from './example.js';
import { ExampleSet } from './example-set.js';
import type { FileRow } from './file-row.js';
import type { PreparedPictures } from './prepared-pictures.js';
import { type RowOptions, readRow } from './read-row.js';
import { type ExampleOptions, OverlongRow, type RowExamples, rowExamples } from './row-examples.js';
import { RowFault } from './row-fault.js';
import { learntTokens } from './sequence.js';
import type { DataFormat, SkippedRow, TextUnit } from './types.js';

export interface ReadOptions extends ExampleOptions, RowOptions {
  readonly textUnit: TextUnit;
  readonly maxBadRows: number;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** What reading files came to. */
export interface ReadRows {
  readonly examples: ExampleSet;
  /** Rows in the files, used or not. */
  readonly rows: number;
  readonly truncated: number;
  /** Of the examples and of which row each is. */
  readonly hash: Hash;
}

const PROGRESS_ROWS = 64;

/**
 * Reads files row by row and puts what is to be learnt into the store. Throws (bad-file) `bad-row` for an unusable
 * row where none is accepted, `too-many-bad-rows`, `no-usable-row`, `cancelled`, and what reading a row throws.
 *
 * @param skipped rows that are not used are added to it
 */
export async function readFiles(
  files: readonly string[],
  options: ReadOptions,
  store: BlobStore,
  pictures: PreparedPictures,
  skipped: SkippedRow[],
): Promise<ReadRows> {
  const { onProgress, signal } = options;
  const examples = new ExampleSet();
  const hash = createHash('sha256');
  let rows = 0;
  let truncated = 0;
  let bad = 0;
  let unused: { readonly where: string; readonly reason: string } | undefined;
  const formats = await Promise.all(files.map(dataFormat));
  const sizes = await Promise.all(files.map(fileSize));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  let before = 0;
  for (const [i, file] of files.entries()) {
    const format = formats[i]!;
    for await (const fileRow of fileRows(file, format, options.textUnit)) {
      if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped while reading the data');
      const where = rowName(file, format, fileRow.row);
      const number = rows++;
      if (number % PROGRESS_ROWS === 0) onProgress?.(before + fileRow.offset, total);
      let prepared: RowExamples;
      try {
        prepared = await rowExamples(contentOf(fileRow, options), options, pictures, file, where);
      } catch (fault) {
        if (!(fault instanceof RowFault || fault instanceof OverlongRow)) throw fault;
        unused ??= { where, reason: fault.message };
        skipped.push({ file, row: fileRow.row, reason: fault.message });
        if (fault instanceof RowFault && ++bad > options.maxBadRows)
          throw tooManyBadRows(options.maxBadRows, unused);
        continue;
      }
      truncated += prepared.truncated;
      for (const example of prepared.examples) {
        const bytes = encodeExample(example);
        hash.update(`${number} `).update(bytes);
        const tokens = example.sequences.reduce((sum, { ids }) => sum + ids.length, 0);
        const trained = example.sequences.reduce((sum, sequence) => sum + learntTokens(sequence), 0);
        examples.add(await store.append(bytes), number, tokens, trained);
      }
    }
    before += sizes[i]!;
  }
  onProgress?.(total, total);
  if (examples.length === 0) throw noUsableRow(files, rows, unused);
  return { examples, rows, truncated, hash };
}

function contentOf({ content }: FileRow, options: ReadOptions) {
  if (content.kind === 'fault') throw content.fault;
  return content.kind === 'text' ? content : readRow(content.value, options);
}

function rowName(file: string, format: DataFormat, row: number): string {
  return `'${file}' ${format === 'parquet' ? 'row' : 'line'} ${row}`;
}

interface Unused {
  readonly where: string;
  readonly reason: string;
}

function tooManyBadRows(limit: number, { where, reason }: Unused): CriaError {
  if (limit === 0) return new CriaError('bad-file', 'bad-row', `${where}: ${reason}`);
  const message = `expected at most ${limit} unusable rows, found more, the first of them ${where}: ${reason}`;
  return new CriaError('bad-file', 'too-many-bad-rows', message);
}

function noUsableRow(files: readonly string[], rows: number, first: Unused | undefined): CriaError {
  const where = files.length === 1 ? `'${files[0]}'` : `${files.length} files`;
  const found = rows === 0 ? 'no rows' : `none of ${rows}`;
  const reason = first ? `; the first, ${first.where}: ${first.reason}` : '';
  return new CriaError(
    'bad-file',
    'no-usable-row',
    `${where}: expected rows to learn from, found ${found}${reason}`,
  );
}
