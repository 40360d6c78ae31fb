import { CriaError } from '../../base/errors.js';
import { decodeUtf8, quote } from '../../base/text.js';
import { fileLines } from './file-lines.js';
import type { FileRow } from './file-row.js';
import type { TextUnit } from './types.js';

/**
 * A long document is cut into rows of about this many bytes at ends of lines, so that files of any size are read and
 * that part of a single file can be kept for validation. It must not depend on the context, because the split then would.
 */
const PIECE_BYTES = 64 * 2 ** 10;
/** A line longer than this is not text that anybody wrote. */
const MAX_LINE_BYTES = 64 * 2 ** 20;

/** The documents of a text file: the whole file, or what stands between blank lines. Throws `not-text` (bad-file). */
export async function* textRows(path: string, unit: TextUnit): AsyncGenerator<FileRow> {
  let lines: string[] = [];
  let first = 1;
  let size = 0;
  let before = 0;
  const row = (ends: boolean): FileRow => {
    const text = lines.join('\n') + (ends ? '' : '\n');
    return { row: first, offset: before, content: { kind: 'text', text, ends } };
  };
  for await (const { line, bytes, offset } of fileLines(path, MAX_LINE_BYTES)) {
    const found = bytes && decodeUtf8(bytes, 0, bytes.length);
    if (found === undefined || found.includes('\0')) {
      const message = `${quote(path)} line ${line}: expected text in UTF-8, found other bytes`;
      throw new CriaError('bad-file', 'not-text', message);
    }
    const text = (line === 1 ? found.replace(/^\ufeff/, '') : found).replace(/\r$/, '');
    const blank = text.trim() === '';
    const splits = unit === 'paragraph' && blank;
    if (lines.length > 0 && (splits || (size >= PIECE_BYTES && !blank))) {
      yield row(splits);
      lines = [];
    }
    before = offset;
    if (splits || (blank && lines.length === 0)) continue;
    if (lines.length === 0) {
      first = line;
      size = 0;
    }
    lines.push(text);
    size += text.length;
  }
  if (lines.length > 0) yield row(true);
}
