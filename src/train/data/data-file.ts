import { extname } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { FileReader } from '../../base/file-reader.js';
import type { FileRow } from './file-row.js';
import { jsonlRows } from './jsonl-rows.js';
import { parquetRows } from './parquet-rows.js';
import { textRows } from './text-rows.js';
import type { DataFormat, TextUnit } from './types.js';

const BY_EXTENSION: Readonly<Record<string, DataFormat>> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.parquet': 'parquet',
  '.txt': 'text',
  '.text': 'text',
  '.md': 'text',
};

const FORMATS = 'a file of JSON Lines (.jsonl), Parquet (.parquet) or plain text (.txt, .md)';

/** What a data file is: by its extension, or else its first bytes. Throws `unknown-data-format` (bad-file). */
export async function dataFormat(path: string): Promise<DataFormat> {
  const file = await FileReader.open(path);
  try {
    const named = BY_EXTENSION[extname(path).toLowerCase()];
    if (named) return named;
    const start = Buffer.alloc(Math.min(file.size, 64));
    await file.read(0, start);
    const text = start
      .toString('latin1')
      .replace(/^\xef\xbb\xbf/, '')
      .trimStart();
    if (text.startsWith('PAR1')) return 'parquet';
    if (text.startsWith('{')) return 'jsonl';
    const hint = text.startsWith('[') ? ' (a JSON array: write its items one a line)' : '';
    throw new CriaError(
      'bad-file',
      'unknown-data-format',
      `'${path}': expected ${FORMATS}, found another${hint}`,
    );
  } finally {
    await file.close();
  }
}

/** The rows of a data file. Throws what the readers of the formats throw. */
export function fileRows(path: string, format: DataFormat, unit: TextUnit): AsyncGenerator<FileRow> {
  if (format === 'jsonl') return jsonlRows(path);
  if (format === 'parquet') return parquetRows(path);
  return textRows(path, unit);
}

/** Bytes of a file. */
export async function fileSize(path: string): Promise<number> {
  const file = await FileReader.open(path);
  await file.close();
  return file.size;
}
