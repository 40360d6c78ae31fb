import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../base/errors.js';
import { FileReader } from '../base/file-reader.js';

// tokenizer.json, the largest, is 28 MB for Llama 4.
const MAX_BYTES = 256 * 2 ** 20;

/** Text of a file of a checkpoint folder; undefined when there is no such file. */
export async function readCheckpointText(folder: string, name: string): Promise<string | undefined> {
  const path = join(folder, name);
  if (!(await exists(path))) return undefined;
  const file = await FileReader.open(path);
  try {
    if (file.size > MAX_BYTES) {
      const message = `${path}: expected at most ${MAX_BYTES} bytes, found ${file.size}`;
      throw new CriaError('bad-file', 'file-too-large', message);
    }
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof CriaError) throw error;
    throw new CriaError('bad-file', 'bad-utf8', `${path}: expected UTF-8 text, found other bytes`);
  } finally {
    await file.close();
  }
}

/** Parsed JSON of a file of a checkpoint folder; undefined when there is no such file. */
export async function readCheckpointJson(folder: string, name: string): Promise<unknown> {
  const text = await readCheckpointText(folder, name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new CriaError('bad-file', 'bad-json', `${join(folder, name)}: expected JSON, found something else`);
  }
}

/** `config.json` of a folder. Throws `no-checkpoint` where there is none. */
export async function readCheckpointConfig(folder: string): Promise<unknown> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) {
    const found = stats ? 'a file' : 'nothing';
    throw new CriaError(
      'not-found',
      'no-checkpoint',
      `${folder}: expected a checkpoint folder, found ${found}`,
    );
  }
  const config = await readCheckpointJson(folder, 'config.json');
  if (config === undefined) {
    const message = `${folder}: expected a checkpoint folder with a config.json, found none`;
    throw new CriaError('not-found', 'no-checkpoint', message);
  }
  return config;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
