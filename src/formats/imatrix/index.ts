import { FileReader } from '../../base/file-reader.js';
import { GGUF_MAGIC } from '../gguf/constants.js';
import { readGgufImatrix, writeGgufImatrix } from './gguf-imatrix.js';
import type { Imatrix } from './imatrix.js';
import { readLegacyImatrix, writeLegacyImatrix } from './legacy-imatrix.js';

export { fitEntry, type Imatrix, type ImatrixEntry, importanceOf, mergeImatrices } from './imatrix.js';

export type ImatrixFormat = 'gguf' | 'dat';

/** Tokens of a window where a legacy file, which does not say, was made with the default settings. */
const LEGACY_CHUNK_SIZE = 512;

/**
 * Reads an importance matrix in either of llama.cpp's formats; the first bytes tell which.
 * Throws (bad-file) `imatrix-bad-type`, `imatrix-bad-tensor`, `imatrix-missing-pair`, `imatrix-bad-shape`,
 * `imatrix-bad-value`, `imatrix-bad-name`, `imatrix-bad-count`, `imatrix-truncated`, `imatrix-trailing-bytes`, and
 * the codes of `openGguf`.
 */
export async function readImatrix(path: string): Promise<Imatrix> {
  return (await hasGgufMagic(path)) ? readGgufImatrix(path) : readLegacyImatrix(path, LEGACY_CHUNK_SIZE);
}

/** Writes an importance matrix; the file appears only when complete. */
export async function writeImatrix(
  path: string,
  imatrix: Imatrix,
  format: ImatrixFormat = 'gguf',
): Promise<void> {
  await (format === 'gguf' ? writeGgufImatrix(path, imatrix) : writeLegacyImatrix(path, imatrix));
}

async function hasGgufMagic(path: string): Promise<boolean> {
  const reader = await FileReader.open(path);
  try {
    const magic = Buffer.alloc(4);
    await reader.read(0, magic);
    return magic.readUInt32LE() === GGUF_MAGIC;
  } finally {
    await reader.close();
  }
}
