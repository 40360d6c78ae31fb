import { CriaError } from '../base/errors.js';
import { FileReader } from '../base/file-reader.js';
import { quote } from '../base/text.js';

/** Where the bytes of a tensor lie. */
export interface TensorPlace {
  /** Index of the file among the parts of a model. */
  readonly part: number;
  /** Path of that file. */
  readonly partPath: string;
  /** Bytes from the start of that file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Opens several files, or none: the files opened before a failure are closed. */
export async function openAll(paths: readonly string[]): Promise<FileReader[]> {
  const opened = await Promise.allSettled(paths.map((path) => FileReader.open(path)));
  const readers = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed === undefined) return readers;
  await closeAll(readers);
  throw failed.reason;
}

export async function closeAll(readers: readonly FileReader[]): Promise<void> {
  await Promise.all(readers.map((reader) => reader.close()));
}

/** The tensor of this name. Throws `no-such-tensor` (bad-file). */
export function findTensor<T>(tensors: ReadonlyMap<string, T>, name: string, path: string): T {
  const tensor = tensors.get(name);
  if (tensor === undefined) {
    throw new CriaError('bad-file', 'no-such-tensor', `'${path}' has no tensor ${quote(name)}`);
  }
  return tensor;
}

/** Reads a slice of a tensor. Throws `outside-tensor` (internal) when the slice leaves it. */
export async function readPlace(
  readers: readonly FileReader[],
  tensor: TensorPlace & { readonly name: string },
  byteOffset: number,
  target: Uint8Array,
): Promise<void> {
  if (!(byteOffset >= 0) || byteOffset + target.length > tensor.bytes) {
    throw new CriaError(
      'internal',
      'outside-tensor',
      `bytes ${byteOffset} to ${byteOffset + target.length} are outside tensor ${quote(tensor.name)} of ${tensor.bytes} bytes`,
    );
  }
  await readers[tensor.part]!.read(tensor.offset + byteOffset, target);
}
