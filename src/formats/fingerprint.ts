import { createHash } from 'node:crypto';
import { CriaError } from '../base/errors.js';
import { rowCount, type TensorSource } from './tensor-source.js';

const READ_BYTES = 2 ** 24;

/**
 * SHA-256 (hex) of a model's metadata and of the first and last row of every tensor: tells models apart without
 * reading them whole.
 */
export async function sampledFingerprint(source: TensorSource): Promise<string> {
  const hash = createHash('sha256');
  const text = (value: unknown) =>
    hash.update(`${JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))}\n`);
  text([...source.metadata]);
  for (const { name, type, shape, bytes } of source.tensors.values()) {
    text([name, type, shape]);
    const rows = rowCount(shape);
    const row = new Uint8Array(bytes / rows);
    for (const index of [0, rows - 1]) {
      await source.readRows(name, index, 1, row);
      hash.update(row);
    }
  }
  return hash.digest('hex');
}

/**
 * SHA-256 (hex) of what a model is: its metadata and every tensor, whatever files it lies in. Reads all of it.
 * Throws `cancelled`.
 */
export async function modelFingerprint(source: TensorSource, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const text = (value: unknown) =>
    hash.update(`${JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part))}\n`);
  text([...source.metadata]);
  const buffer = new Uint8Array(READ_BYTES);
  for (const { name, type, shape, bytes } of source.tensors.values()) {
    text([name, type, shape]);
    const rows = rowCount(shape);
    const rowBytes = bytes / rows;
    const rowsAtOnce = Math.max(1, Math.floor(READ_BYTES / rowBytes));
    for (let start = 0; start < rows; start += rowsAtOnce) {
      if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
      const count = Math.min(rowsAtOnce, rows - start);
      const length = count * rowBytes;
      const part = length <= buffer.length ? buffer.subarray(0, length) : new Uint8Array(length);
      await source.readRows(name, start, count, part);
      hash.update(part);
    }
  }
  return hash.digest('hex');
}
