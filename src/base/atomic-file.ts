import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError } from './file-errors.js';

/**
 * A file that appears under its name only when complete: written as `temporaryPath`, flushed to the disk, then
 * renamed. Exactly one of `commit`, `discard` and `suspend` ends it. Errors are those of `fileError`, among them
 * `disk-full`.
 */
export class AtomicFile {
  readonly path: string;
  readonly temporaryPath: string;
  readonly #handle: FileHandle;
  #open = true;

  private constructor(path: string, temporaryPath: string, handle: FileHandle) {
    this.path = path;
    this.temporaryPath = temporaryPath;
    this.#handle = handle;
  }

  /**
   * Starts the file, replacing what an earlier attempt left under the temporary name. That name is predictable
   * (`PATH.partial`) so that a later run finds the bytes of one that was killed.
   */
  static async create(path: string, temporaryPath = `${path}.partial`): Promise<AtomicFile> {
    try {
      return new AtomicFile(path, temporaryPath, await open(temporaryPath, 'w'));
    } catch (error) {
      throw fileError(error, 'write', path);
    }
  }

  /** Goes on with the file of an attempt that was killed or suspended; undefined when it left none. */
  static async reopen(path: string, temporaryPath = `${path}.partial`): Promise<AtomicFile | undefined> {
    try {
      return new AtomicFile(path, temporaryPath, await open(temporaryPath, 'r+'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw fileError(error, 'write', path);
    }
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Sets the length; bytes that are never written read as zero. */
  async setSize(bytes: number): Promise<void> {
    await this.#try(() => this.#handle.truncate(bytes));
  }

  /** Writes all of `bytes` at `offset`; calls may overlap in time and come in any order. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#try(async () => {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    });
  }

  /** Like `write`, of buffers that follow one another, in few system calls. */
  async writeAll(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    let written = 0;
    await this.#try(async () => {
      written = (await this.#handle.writev(buffers, offset)).bytesWritten;
    });
    // The system may take less than it is given (an interrupt, more buffers than it accepts at once).
    if (written < length) await this.write(offset + written, Buffer.concat(buffers).subarray(written));
  }

  /** Flushes, closes and renames; on failure nothing is left behind. */
  async commit(): Promise<void> {
    await commitAll([this]);
  }

  /** Removes the temporary file. Never throws, so that it can run while another error is on its way. */
  async discard(): Promise<void> {
    await this.#close().catch(() => {});
    await rm(this.temporaryPath, { force: true }).catch(() => {});
  }

  /** Returns when everything written before is on the disk. */
  async sync(): Promise<void> {
    await this.#try(() => this.#handle.sync());
  }

  /** Closes the temporary file and leaves it for `reopen`. Never throws, like `discard`. */
  async suspend(): Promise<void> {
    await this.#close().catch(() => {});
  }

  /** First half of a commit: the bytes are on the disk, under the temporary name. */
  async finish(): Promise<void> {
    await this.#try(async () => {
      await this.#handle.sync();
      await this.#close();
    });
  }

  /** Second half of a commit. */
  async publish(): Promise<void> {
    await this.#try(() => rename(this.temporaryPath, this.path));
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw fileError(error, 'write', this.path);
    }
  }
}

/**
 * Commits files that belong together: none is renamed before all are on the disk. They are renamed in order, so
 * the file that makes the others visible (an index) goes last.
 */
export async function commitAll(files: readonly AtomicFile[]): Promise<void> {
  try {
    for (const file of files) await file.finish();
    for (const file of files) await file.publish();
  } catch (error) {
    await Promise.all(files.map((file) => file.discard()));
    throw error;
  }
  await Promise.all([...new Set(files.map((file) => dirname(file.path)))].map(syncFolder));
}

/** Writes a whole small file so that readers see the old content or the new, never a part. */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  // The process id keeps two programs that save the same file from writing into one temporary file.
  const file = await AtomicFile.create(path, `${path}.${process.pid}.tmp`);
  try {
    await file.write(0, typeof content === 'string' ? Buffer.from(content) : content);
  } catch (error) {
    await file.discard();
    throw error;
  }
  await file.commit();
}

/** Makes the renames in a folder durable. Not every system can open a folder; there the rename has to do. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
