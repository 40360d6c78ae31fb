import { type FileHandle, open, stat } from 'node:fs/promises';
import { CriaError } from './errors.js';
import { fileError } from './file-errors.js';

/** One read system call moves at most 2^31 - 1 bytes; this stays well below and page-aligned. */
const MAX_READ = 2 ** 30;

/** An open regular file that is read by position. Its size is fixed when it is opened. */
export class FileReader {
  readonly path: string;
  /** Bytes in the file. */
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** Throws `no-such-file`, `not-a-file`, `no-permission` (not-found). */
  static async open(path: string): Promise<FileReader> {
    try {
      // Opening a named pipe would wait for a writer, so the kind is looked at first.
      const { size } = await stat(path).then((found) => {
        if (!found.isFile()) {
          const what = found.isDirectory() ? 'a folder' : 'something else';
          throw new CriaError(
            'not-found',
            'not-a-file',
            `cannot open '${path}': expected a file, found ${what}`,
          );
        }
        return found;
      });
      return new FileReader(path, size, await open(path, 'r'));
    } catch (error) {
      throw fileError(error, 'open', path);
    }
  }

  /**
   * Fills `target`, which may view shared memory, with the bytes from `offset` on.
   * Throws `truncated` (bad-file) when the file does not hold them all.
   */
  async read(offset: number, target: Uint8Array): Promise<void> {
    if (offset < 0 || !Number.isSafeInteger(offset) || offset + target.length > this.size) {
      throw this.#truncated(offset, target.length);
    }
    let done = 0;
    while (done < target.length) {
      const length = Math.min(target.length - done, MAX_READ);
      const bytesRead = await this.#handle
        .read(target, done, length, offset + done)
        .then((result) => result.bytesRead)
        .catch((error) => {
          throw fileError(error, 'read', this.path);
        });
      if (bytesRead === 0) throw this.#truncated(offset, target.length);
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #truncated(offset: number, length: number): CriaError {
    return new CriaError(
      'bad-file',
      'truncated',
      `'${this.path}' is cut short: expected ${length} bytes at offset ${offset}, the file ends at ${this.size}`,
    );
  }
}
