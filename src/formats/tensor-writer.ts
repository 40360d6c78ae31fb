import { AtomicFile, commitAll } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { RangeSet } from '../base/range-set.js';
import { quote } from '../base/text.js';

/** One output file whose bytes are all accounted for before any tensor is computed. */
export interface FileLayout {
  readonly path: string;
  /** Written at offset 0; complete for a file without tensors. */
  readonly header: Uint8Array;
  /** Size of the whole file. What neither header nor tensors fill is zero. */
  readonly bytes: number;
  readonly tensors: readonly PlacedTensor[];
}

export interface PlacedTensor {
  readonly name: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** The bytes of a tensor: at once, or in consecutive pieces of any size. */
export type TensorBytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

interface OpenTensor {
  readonly file: AtomicFile;
  readonly place: PlacedTensor;
  readonly written: RangeSet;
}

/**
 * Writes the tensors of one model into its files, each byte exactly once and in any order. The files appear
 * together on `commit`; until then they are `PATH.partial`. Every writer ends with `commit`, `discard` or `suspend`.
 * Errors: `tensor-bytes` (internal) for bytes too few, too many or twice; those of AtomicFile.
 */
export class TensorWriter {
  readonly layout: readonly FileLayout[];
  readonly #files: readonly AtomicFile[];
  readonly #tensors: ReadonlyMap<string, OpenTensor>;

  private constructor(layout: readonly FileLayout[], files: readonly AtomicFile[]) {
    this.layout = layout;
    this.#files = files;
    this.#tensors = new Map(
      layout.flatMap((part, i) =>
        part.tensors.map((place) => [place.name, { file: files[i]!, place, written: new RangeSet() }]),
      ),
    );
  }

  /** Creates the files and writes their headers. The tensors of all files have different names. */
  static async create(layout: readonly FileLayout[]): Promise<TensorWriter> {
    const files: AtomicFile[] = [];
    try {
      for (const part of layout) {
        const file = await AtomicFile.create(part.path);
        files.push(file);
        await file.write(0, part.header);
        await file.setSize(part.bytes);
      }
    } catch (error) {
      await Promise.all(files.map((file) => file.discard()));
      throw error;
    }
    return new TensorWriter(layout, files);
  }

  /**
   * Goes on with files that a killed or suspended writer of the same layout left. `written` says how many bytes of
   * each tensor, from its start, are there; all others are expected again. Undefined when files are missing or of
   * another size.
   */
  static async resume(
    layout: readonly FileLayout[],
    written: ReadonlyMap<string, number>,
  ): Promise<TensorWriter | undefined> {
    const files: AtomicFile[] = [];
    for (const part of layout) {
      const file = await AtomicFile.reopen(part.path);
      if (file !== undefined) files.push(file);
      if (file === undefined || (await file.size()) !== part.bytes) {
        await Promise.all(files.map((open) => open.suspend()));
        return undefined;
      }
    }
    const writer = new TensorWriter(layout, files);
    for (const [name, bytes] of written) writer.#find(name).written.add(0, bytes);
    return writer;
  }

  /** Writes a piece of a tensor at its place. Pieces of one or several tensors may be under way at once. */
  async writeAt(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const { file, place, written } = this.#find(name);
    const end = byteOffset + bytes.length;
    if (!(byteOffset >= 0) || end > place.bytes) {
      throw wrongBytes(name, `expected ${place.bytes} bytes, found ${end}`);
    }
    if (!written.add(byteOffset, end)) {
      throw wrongBytes(name, `bytes ${byteOffset} to ${end} were written before`);
    }
    await file.write(place.offset + byteOffset, bytes);
  }

  /** Writes a whole tensor. */
  async writeTensor(name: string, bytes: TensorBytes): Promise<void> {
    let offset = 0;
    for await (const piece of bytes instanceof Uint8Array ? [bytes] : bytes) {
      await this.writeAt(name, offset, piece);
      offset += piece.length;
    }
    const { place } = this.#find(name);
    if (offset !== place.bytes) throw wrongBytes(name, `expected ${place.bytes} bytes, found ${offset}`);
  }

  /** Publishes the files, once every tensor is complete; on failure they are discarded. */
  async commit(): Promise<void> {
    for (const { place, written } of this.#tensors.values()) {
      if (!written.covers(0, place.bytes)) {
        await this.discard();
        throw wrongBytes(place.name, `only ${written.size} of ${place.bytes} bytes were written`);
      }
    }
    await commitAll(this.#files);
  }

  async discard(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.discard()));
  }

  /** Returns when everything written before is on the disk. */
  async sync(): Promise<void> {
    for (const file of this.#files) await file.sync();
  }

  /** Leaves the files as they are, for `resume`. */
  async suspend(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.suspend()));
  }

  #find(name: string): OpenTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw wrongBytes(name, 'it is not part of this file');
    return tensor;
  }
}

/** Runs a whole write: `write` gives the bytes of each tensor, in file order; any failure discards the files. */
export async function writeTensors(
  layout: readonly FileLayout[],
  write: (name: string) => TensorBytes | Promise<TensorBytes>,
): Promise<void> {
  const writer = await TensorWriter.create(layout);
  try {
    for (const part of layout) {
      for (const { name } of part.tensors) await writer.writeTensor(name, await write(name));
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  await writer.commit();
}

/**
 * Cuts a list into parts of at most `maxBytes` and `maxTensors`, in order and greedily; a tensor larger than
 * `maxBytes` gets a part of its own. Always at least one part.
 */
export function splitTensors<T extends { readonly bytes: number }>(
  tensors: readonly T[],
  maxBytes = Number.POSITIVE_INFINITY,
  maxTensors = Number.POSITIVE_INFINITY,
): T[][] {
  const parts: T[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const part = parts.at(-1)!;
    if (part.length > 0 && (bytes + tensor.bytes > maxBytes || part.length >= maxTensors)) {
      parts.push([tensor]);
      bytes = tensor.bytes;
    } else {
      part.push(tensor);
      bytes += tensor.bytes;
    }
  }
  return parts;
}

/** The bytes of a stored tensor in pieces of bounded size, for copying; each piece is valid until the next. */
export async function* tensorPieces(
  bytes: number,
  read: (byteOffset: number, target: Uint8Array) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(bytes, COPY_BYTES));
  for (let offset = 0; offset < bytes; offset += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, bytes - offset));
    await read(offset, piece);
    yield piece;
  }
}

/** Large enough that a disk streams, small enough to be no part of the memory use. */
const COPY_BYTES = 8 * 2 ** 20;

function wrongBytes(name: string, what: string): CriaError {
  return new CriaError('internal', 'tensor-bytes', `tensor ${quote(name)}: ${what}`);
}
