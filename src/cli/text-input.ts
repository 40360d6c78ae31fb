import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { decodeUtf8 } from '../base/text.js';
import type { Terminal } from './verb.js';

/** The text of a file, or of standard input for `-`. Throws the codes of `fileError` and `not-utf8` (bad-file). */
export async function readTextInput(terminal: Terminal, path: string): Promise<string> {
  const name = path === '-' ? 'standard input' : `'${path}'`;
  const bytes = path === '-' ? await readStream(terminal.stdin) : await readWholeFile(path);
  const text = decodeUtf8(bytes, 0, bytes.length);
  if (text === undefined) {
    throw new CriaError('bad-file', 'not-utf8', `expected UTF-8 text, found other bytes in ${name}`);
  }
  return text;
}

/**
 * A prompt or a text to evaluate: as `readTextInput`, without one line break at the end. llama.cpp drops it too, and
 * a token more or less at the end of a text can mean a whole window.
 */
export async function readPromptInput(terminal: Terminal, path: string): Promise<string> {
  return (await readTextInput(terminal, path)).replace(/\r?\n$/, '');
}

async function readWholeFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}

async function readStream(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
