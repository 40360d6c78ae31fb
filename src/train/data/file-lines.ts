import { createReadStream } from 'node:fs';
import { fileError } from '../../base/file-errors.js';
import { FileReader } from '../../base/file-reader.js';

const NEWLINE = 0x0a;

export interface FileLine {
  /** From 1. */
  readonly line: number;
  /** Without the newline; undefined where there are more than the limit. */
  readonly bytes: Buffer | undefined;
  /** Length of the line in bytes, whatever the limit. */
  readonly length: number;
  /** Offset in the file behind the line. */
  readonly offset: number;
}

/** The lines of a file of any size. Of a line longer than `maxBytes` nothing is kept. Throws what `fileError` makes. */
export async function* fileLines(path: string, maxBytes: number): AsyncGenerator<FileLine> {
  await (await FileReader.open(path)).close();
  let line = 1;
  let offset = 0;
  let held: Buffer[] = [];
  let length = 0;
  const take = (piece: Buffer) => {
    length += piece.length;
    if (length <= maxBytes) held.push(piece);
    else held = [];
  };
  const finish = (): FileLine => {
    const bytes = length > maxBytes ? undefined : held.length === 1 ? held[0]! : Buffer.concat(held);
    const finished = { line: line++, bytes, length, offset };
    held = [];
    length = 0;
    return finished;
  };
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        take(chunk.subarray(start, end));
        offset += end + 1 - start;
        start = end + 1;
        yield finish();
      }
      if (start < chunk.length) {
        take(chunk.subarray(start));
        offset += chunk.length - start;
      }
    }
  } catch (error) {
    throw fileError(error, 'read', path);
  }
  if (length > 0) yield finish();
}
