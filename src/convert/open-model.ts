import { stat } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import { openGguf } from '../formats/gguf/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { openCheckpoint } from './checkpoint-source.js';

/**
 * Opens a model by path: a GGUF file, the first part of a split one, or a checkpoint folder, of which `openFolder`
 * takes the text part unless told otherwise. Throws `not-found` kinds for a path that is not there, and what the
 * readers throw.
 */
export async function openModel(
  path: string,
  openFolder: (folder: string) => Promise<TensorSource> = openCheckpoint,
): Promise<TensorSource> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (error) {
    throw new CriaError(
      'not-found',
      'no-such-file',
      `no model at '${path}': expected a GGUF file or a checkpoint folder`,
      { cause: error },
    );
  }
  return isFolder ? openFolder(path) : openGguf(path);
}
