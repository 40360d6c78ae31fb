import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { fileError } from '../../base/file-errors.js';
import { FileReader } from '../../base/file-reader.js';
import { quote } from '../../base/text.js';
import { closeAll, findTensor, openAll, readPlace, type TensorPlace } from '../tensor-files.js';
import {
  bad,
  isObject,
  parseHeader,
  parseJson,
  SAFETENSORS_LIMITS,
  type SafetensorsHeader,
  type SafetensorsInfo,
} from './header.js';

export interface SafetensorsTensor extends SafetensorsInfo, TensorPlace {}

export interface SafetensorsPart {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
}

export const SINGLE_NAME = 'model.safetensors';
export const INDEX_NAME = 'model.safetensors.index.json';

/** An open checkpoint of one or several safetensors files. */
export class SafetensorsFile {
  /** The file, or the index of a sharded checkpoint. */
  readonly path: string;
  /** `__metadata__` of the first file. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
  readonly parts: readonly SafetensorsPart[];
  readonly #readers: readonly FileReader[];

  /** Use `openSafetensors`. */
  constructor(
    path: string,
    metadata: ReadonlyMap<string, string>,
    tensors: ReadonlyMap<string, SafetensorsTensor>,
    readers: readonly FileReader[],
  ) {
    this.path = path;
    this.metadata = metadata;
    this.tensors = tensors;
    this.parts = readers.map((reader) => ({ path: reader.path, bytes: reader.size }));
    this.#readers = readers;
  }

  /** Bytes of all parts. */
  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.bytes, 0);
  }

  /** Bytes of a tensor from `byteOffset` on; `target` may view shared memory. Throws `no-such-tensor`. */
  async read(name: string, byteOffset: number, target: Uint8Array): Promise<void> {
    await readPlace(this.#readers, findTensor(this.tensors, name, this.path), byteOffset, target);
  }

  async close(): Promise<void> {
    await closeAll(this.#readers);
  }
}

/**
 * Opens a `.safetensors` file, a `….safetensors.index.json` with its shards, or a folder with either of them under
 * the name `model`. Only headers are read.
 *
 * Throws CriaError: `no-such-file`, `not-a-file`; `no-safetensors` (not-found) for a folder without; `safetensors-…`
 * codes of the header (see `parseHeader`); `safetensors-missing-shard` (not-found), `safetensors-bad-index`,
 * `safetensors-shard-path` (a shard outside the folder), `safetensors-missing-tensor`.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const found = await stat(path).catch((error) => {
    throw fileError(error, 'open', path);
  });
  const file = found.isDirectory() ? await findInFolder(path) : path;
  return file.endsWith('.json') ? openSharded(file) : openSingle(file);
}

async function findInFolder(folder: string): Promise<string> {
  for (const name of [INDEX_NAME, SINGLE_NAME]) {
    const path = join(folder, name);
    if (
      await stat(path).then(
        (found) => found.isFile(),
        () => false,
      )
    )
      return path;
  }
  throw new CriaError(
    'not-found',
    'no-safetensors',
    `'${folder}': expected ${SINGLE_NAME} or ${INDEX_NAME} in this folder`,
  );
}

async function openSingle(path: string): Promise<SafetensorsFile> {
  const reader = await FileReader.open(path);
  try {
    const { header, dataOffset } = await readHeader(reader);
    const tensors = new Map(
      header.tensors.map((tensor) => [
        tensor.name,
        { ...tensor, part: 0, partPath: path, offset: dataOffset + tensor.offset },
      ]),
    );
    return new SafetensorsFile(path, header.metadata, tensors, [reader]);
  } catch (error) {
    await reader.close();
    throw error;
  }
}

async function openSharded(path: string): Promise<SafetensorsFile> {
  const weightMap = await readIndex(path);
  const names = [...new Set(weightMap.values())].sort();
  if (names.length > SAFETENSORS_LIMITS.shards) {
    throw bad(
      path,
      'safetensors-bad-index',
      `expected at most ${SAFETENSORS_LIMITS.shards} shards, found ${names.length}`,
    );
  }
  const folder = dirname(path);
  const readers = await openAll(names.map((name) => join(folder, name))).catch((error) => {
    if (!(error instanceof CriaError) || error.code !== 'no-such-file') throw error;
    throw new CriaError(
      'not-found',
      'safetensors-missing-shard',
      `'${path}' lists ${names.length} files: ${error.message}`,
      {
        cause: error,
      },
    );
  });
  try {
    const shards = await Promise.all(readers.map(readHeader));
    const places = shards.map(({ header, dataOffset }, part) => {
      const partPath = readers[part]!.path;
      return new Map(
        header.tensors.map((tensor) => [
          tensor.name,
          { ...tensor, part, partPath, offset: dataOffset + tensor.offset },
        ]),
      );
    });
    const partOf = new Map(names.map((name, part) => [name, part]));
    const tensors = new Map<string, SafetensorsTensor>();
    for (const [name, shard] of weightMap) {
      const tensor = places[partOf.get(shard)!]!.get(name);
      if (tensor === undefined) {
        throw bad(
          path,
          'safetensors-missing-tensor',
          `it lists ${quote(name)} in ${quote(shard)}, which does not have it`,
        );
      }
      tensors.set(name, tensor);
    }
    return new SafetensorsFile(path, shards[0]?.header.metadata ?? new Map(), tensors, readers);
  } catch (error) {
    await closeAll(readers);
    throw error;
  }
}

/** Tensor name to file name, in index order. */
async function readIndex(path: string): Promise<ReadonlyMap<string, string>> {
  const bytes = await readSmallFile(path);
  // The metadata of an index is free-form, so a little more nesting than in a header is let pass.
  const { weight_map: weightMap } = parseJson(bytes, 8, path);
  if (!isObject(weightMap)) {
    throw bad(path, 'safetensors-bad-index', 'expected an object "weight_map" of tensor names to file names');
  }
  const entries = Object.entries(weightMap);
  for (const [tensor, name] of entries) {
    if (typeof name !== 'string') {
      throw bad(path, 'safetensors-bad-index', `weight_map of ${quote(tensor)}: expected a file name`);
    }
    if (basename(name) !== name || /[\\:\0]/.test(name) || !name.endsWith('.safetensors')) {
      throw bad(
        path,
        'safetensors-shard-path',
        `weight_map of ${quote(tensor)}: expected a .safetensors file beside the index, found ${quote(name)}`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

async function readSmallFile(path: string): Promise<Buffer> {
  const reader = await FileReader.open(path);
  try {
    if (reader.size > SAFETENSORS_LIMITS.headerBytes) {
      throw bad(
        path,
        'safetensors-bad-index',
        `expected at most ${SAFETENSORS_LIMITS.headerBytes} bytes, found ${reader.size}`,
      );
    }
    const bytes = Buffer.alloc(reader.size);
    await reader.read(0, bytes);
    return bytes;
  } finally {
    await reader.close();
  }
}

async function readHeader(reader: FileReader): Promise<{ header: SafetensorsHeader; dataOffset: number }> {
  const { path, size } = reader;
  if (size < 8)
    throw bad(path, 'safetensors-truncated', `expected a header length of 8 bytes, the file has ${size}`);
  const start = Buffer.alloc(8);
  await reader.read(0, start);
  const length = Number(start.readBigUInt64LE());
  if (length > SAFETENSORS_LIMITS.headerBytes) {
    throw bad(
      path,
      'safetensors-header-too-large',
      `expected a header of at most ${SAFETENSORS_LIMITS.headerBytes} bytes, found ${length}; it may be no safetensors file`,
    );
  }
  const dataOffset = 8 + length;
  if (dataOffset > size) {
    throw bad(
      path,
      'safetensors-truncated',
      `expected a header of ${length} bytes, the file ends at ${size}`,
    );
  }
  const bytes = Buffer.alloc(length);
  await reader.read(8, bytes);
  return { header: parseHeader(bytes, size - dataOffset, path), dataOffset };
}
