import { formatBytes } from '../../base/byte-size.js';
import { findJsonFault } from '../../base/json-text.js';
import { decodeUtf8, quote } from '../../base/text.js';
import { fileLines } from './file-lines.js';
import type { FileRow } from './file-row.js';
import { RowFault } from './row-fault.js';
import { MAX_JSON_DEPTH } from './row-fields.js';

/** Room for several pictures in base64; a longer line is a file of another kind. */
const MAX_LINE_BYTES = 64 * 2 ** 20;
const BYTE_ORDER_MARK = '\ufeff';

/** The rows of a JSON Lines file: one value a line, blank lines aside. */
export async function* jsonlRows(path: string): AsyncGenerator<FileRow> {
  for await (const { line, bytes, length, offset } of fileLines(path, MAX_LINE_BYTES)) {
    try {
      const text = lineText(bytes, length, line);
      if (text.trim() === '') continue;
      yield { row: line, offset, content: { kind: 'value', value: parseLine(text) } };
    } catch (fault) {
      if (!(fault instanceof RowFault)) throw fault;
      yield { row: line, offset, content: { kind: 'fault', fault } };
    }
  }
}

function lineText(bytes: Buffer | undefined, length: number, line: number): string {
  if (bytes === undefined) {
    throw new RowFault(
      `expected at most ${formatBytes(MAX_LINE_BYTES)} a line, found ${formatBytes(length)}`,
    );
  }
  const text = decodeUtf8(bytes, 0, bytes.length);
  if (text === undefined) throw new RowFault('expected UTF-8, found other bytes');
  return line === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function parseLine(text: string): unknown {
  const fault = findJsonFault(text, MAX_JSON_DEPTH);
  if (fault?.kind === 'too-deep') throw new RowFault(`expected at most ${MAX_JSON_DEPTH} levels of nesting`);
  if (fault) throw new RowFault(`the key ${quote(fault.key)} appears twice in one object`);
  try {
    return JSON.parse(text);
  } catch {
    const hint = /^\s*[[{]\s*$/.test(text)
      ? ' (one JSON object a line: a file of one large array is none)'
      : '';
    throw new RowFault(`expected JSON, found ${quote(text.trim(), 40)}${hint}`);
  }
}
