import { basename } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { FileReader } from '../../base/file-reader.js';
import { quote } from '../../base/text.js';
import { rowBytes } from '../ggml-types.js';
import { closeAll, findTensor, openAll, readPlace, type TensorPlace } from '../tensor-files.js';
import type { FileRange, Metadata, MetadataValue, TensorInfo, TensorSource } from '../tensor-source.js';
import { SPLIT_KEYS } from './constants.js';
import { bad, checkPlaces, GGUF_LIMITS, type GgufHeader, NeedMoreBytes, parseHeader } from './header.js';
import { parseSplitPath, splitPath } from './split-names.js';

export interface GgufTensor extends TensorInfo, TensorPlace {}

export interface GgufPart {
  readonly path: string;
  /** Size of the file. */
  readonly bytes: number;
  readonly tensorCount: number;
  /** Where its tensor data starts. */
  readonly dataOffset: number;
}

/** An open GGUF model of one or several files. */
export class GgufFile implements TensorSource {
  /** Path of the first part. */
  readonly path: string;
  readonly version: number;
  readonly alignment: number;
  /** Metadata of the first part, which holds all but the split keys of the others. */
  readonly metadata: Metadata;
  /** In file order, part by part. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly parts: readonly GgufPart[];
  readonly #readers: readonly FileReader[];

  /** Use `openGguf`. */
  constructor(readers: readonly FileReader[], headers: readonly GgufHeader[]) {
    const first = headers[0]!;
    this.path = readers[0]!.path;
    this.version = first.version;
    this.alignment = first.alignment;
    this.metadata = first.metadata;
    this.parts = headers.map(({ tensors, dataOffset }, part) => ({
      path: readers[part]!.path,
      bytes: readers[part]!.size,
      tensorCount: tensors.length,
      dataOffset,
    }));
    this.#readers = readers;
    const tensors = new Map<string, GgufTensor>();
    headers.forEach((header, part) => {
      const partPath = readers[part]!.path;
      for (const tensor of header.tensors) {
        if (tensors.has(tensor.name)) {
          throw bad(
            partPath,
            'gguf-mixed-parts',
            `tensor ${quote(tensor.name)} is in an earlier part as well`,
          );
        }
        tensors.set(tensor.name, { ...tensor, part, partPath, offset: header.dataOffset + tensor.offset });
      }
    });
    this.tensors = tensors;
  }

  /** Bytes of all parts. */
  get bytes(): number {
    return this.parts.reduce((sum, part) => sum + part.bytes, 0);
  }

  /** Encoded bytes of a tensor from `byteOffset` on; `target` may view shared memory. */
  async read(name: string, byteOffset: number, target: Uint8Array): Promise<void> {
    await readPlace(this.#readers, findTensor(this.tensors, name, this.path), byteOffset, target);
  }

  async readRows(name: string, start: number, count: number, target: Uint8Array): Promise<void> {
    const tensor = findTensor(this.tensors, name, this.path);
    const row = rowBytes(tensor.type, tensor.shape[0]!);
    if (target.length !== count * row) {
      throw new CriaError(
        'internal',
        'wrong-target-size',
        `${count} rows of ${quote(name)} take ${count * row} bytes, the target has ${target.length}`,
      );
    }
    await readPlace(this.#readers, tensor, start * row, target);
  }

  locate(name: string): FileRange {
    const { part, partPath, offset, bytes } = findTensor(this.tensors, name, this.path);
    return { path: partPath, fileBytes: this.parts[part]!.bytes, offset, bytes };
  }

  async close(): Promise<void> {
    await closeAll(this.#readers);
  }
}

/**
 * Opens a GGUF file, or all parts of a split one given its first part; only headers are read.
 *
 * Throws CriaError: `no-such-file`, `not-a-file`; `gguf-…` codes of the header (see `parseHeader`, `checkPlaces`);
 * and for split models `gguf-missing-part` (not-found), `gguf-not-first-part` (usage), `gguf-mixed-parts`,
 * `gguf-split-name`.
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const first = await FileReader.open(path);
  const readers = [first];
  try {
    const headers = [await readHeader(first)];
    readers.push(...(await openOtherParts(path, headers[0]!.metadata)));
    for (const reader of readers.slice(1)) headers.push(await readHeader(reader));
    if (readers.length > 1) checkParts(readers, headers);
    return new GgufFile(readers, headers);
  } catch (error) {
    await closeAll(readers);
    throw error;
  }
}

/** Most headers without a vocabulary fit; each further read is eight times as long, so little is read twice. */
const FIRST_READ_BYTES = 256 * 2 ** 10;

async function readHeader(reader: FileReader): Promise<GgufHeader> {
  const { path, size } = reader;
  const limit = Math.min(size, GGUF_LIMITS.headerBytes);
  for (let length = Math.min(FIRST_READ_BYTES, limit); ; length = Math.min(8 * length, limit)) {
    const bytes = Buffer.allocUnsafe(length);
    await reader.read(0, bytes);
    try {
      const header = parseHeader(bytes, size, path);
      checkPlaces(header, size, path);
      return header;
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (length === limit) {
        throw bad(path, 'gguf-header-too-large', `the header is larger than ${limit} bytes`);
      }
    }
  }
}

async function openOtherParts(path: string, metadata: Metadata): Promise<FileReader[]> {
  const count = integer(metadata.get(SPLIT_KEYS.count)) ?? 1;
  // llama.cpp marks a merged file with a count of 0.
  if (count <= 1) return [];
  const named = parseSplitPath(path);
  if (named === undefined) {
    const expected = basename(splitPath('NAME', 0, count));
    throw bad(
      path,
      'gguf-split-name',
      `it is one of ${count} parts, so its name should read ${expected} for the others to be found`,
    );
  }
  const index = integer(metadata.get(SPLIT_KEYS.no));
  if (named.count !== count || index !== named.index) {
    throw bad(
      path,
      'gguf-mixed-parts',
      `its name says part ${named.index + 1} of ${named.count}, its metadata part ${(index ?? -1) + 1} of ${count}`,
    );
  }
  if (index !== 0) {
    const firstPath = splitPath(named.prefix, 0, count);
    throw bad(
      path,
      'gguf-not-first-part',
      `this is part ${index + 1} of ${count}: give the first, '${firstPath}'`,
      'usage',
    );
  }
  const paths = Array.from({ length: count - 1 }, (_, i) => splitPath(named.prefix, i + 1, count));
  return openAll(paths).catch((error) => {
    if (!(error instanceof CriaError) || error.code !== 'no-such-file') throw error;
    throw new CriaError(
      'not-found',
      'gguf-missing-part',
      `'${path}' is one of ${count} parts: ${error.message}`,
      {
        cause: error,
      },
    );
  });
}

function checkParts(readers: readonly FileReader[], headers: readonly GgufHeader[]): void {
  const expected = integer(headers[0]!.metadata.get(SPLIT_KEYS.tensors));
  headers.forEach(({ metadata }, i) => {
    const index = integer(metadata.get(SPLIT_KEYS.no));
    const count = integer(metadata.get(SPLIT_KEYS.count));
    const total = integer(metadata.get(SPLIT_KEYS.tensors));
    if (index !== i || count !== headers.length || total !== expected) {
      throw bad(
        readers[i]!.path,
        'gguf-mixed-parts',
        `expected part ${i + 1} of ${headers.length} with ${expected} tensors in all, ` +
          `found part ${(index ?? -1) + 1} of ${count} with ${total}`,
      );
    }
  });
  const found = headers.reduce((sum, { tensors }) => sum + tensors.length, 0);
  if (expected !== found) {
    throw bad(
      readers[0]!.path,
      'gguf-mixed-parts',
      `expected ${expected} tensors in all parts, found ${found}`,
    );
  }
}

function integer(entry: MetadataValue | undefined): number | undefined {
  return typeof entry?.value === 'number' ? entry.value : undefined;
}
