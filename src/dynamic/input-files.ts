import { createHash } from 'node:crypto';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../base/errors.js';
import { GgufFile } from '../formats/gguf/index.js';
import type { TensorSource } from '../formats/tensor-source.js';

/** The files a model is read from: the parts of a GGUF model, or everything in a checkpoint folder. */
export async function inputFiles(source: TensorSource): Promise<string[]> {
  if (source instanceof GgufFile) return source.parts.map((part) => part.path);
  const entries = await readdir(source.path, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(source.path, entry.name))
    .sort();
}

/** A hash that changes when one of the files does, as sizes and times of change tell. */
export async function filesIdentity(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { size, mtimeMs } = await stat(path);
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** Throws `same-file` (usage) when an output would replace a part of the input. */
export async function refuseOverwriting(
  inputs: readonly string[],
  outputs: readonly string[],
): Promise<void> {
  const resolved = new Set(await Promise.all(inputs.map((path) => realpath(path))));
  for (const path of outputs) {
    const found = await realpath(path).catch(() => undefined);
    if (found !== undefined && resolved.has(found)) {
      throw new CriaError(
        'usage',
        'same-file',
        `'${path}' is part of the input itself: give another output name`,
      );
    }
  }
}
