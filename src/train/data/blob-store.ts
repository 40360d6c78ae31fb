import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../../base/file-errors.js';

/** Small writes are gathered up to this many bytes. */
const WRITE_BYTES = 4 * 2 ** 20;

/**
 * Byte strings, appended and then read in any order: in memory up to a limit, the rest in a scratch file that has no
 * name any more once it is open (where the system allows that), so that nothing stays when the process is killed.
 */
export class BlobStore {
  readonly #folder: string;
  readonly #memoryBytes: number;
  readonly #inMemory: Uint8Array[] = [];
  #held = 0;
  /** Offsets in the file of blobs that are not in memory, and behind the last one. */
  readonly #offsets: number[] = [0];
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #written = 0;
  #file: { readonly handle: FileHandle; readonly path: string } | undefined;

  constructor(memoryBytes: number, folder: string) {
    this.#memoryBytes = memoryBytes;
    this.#folder = folder;
  }

  /** Bytes in the scratch file. */
  get fileBytes(): number {
    return this.#offsets.at(-1)!;
  }

  /** Takes a blob and returns its number. Throws what `fileError` makes, among them `disk-full`. */
  async append(bytes: Uint8Array): Promise<number> {
    if (this.#offsets.length === 1 && this.#held + bytes.length <= this.#memoryBytes) {
      this.#held += bytes.length;
      return this.#inMemory.push(bytes) - 1;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#offsets.push(this.#offsets.at(-1)! + bytes.length);
    if (this.#waitingBytes >= WRITE_BYTES) await this.#flush();
    return this.#inMemory.length + this.#offsets.length - 2;
  }

  async read(blob: number): Promise<Uint8Array> {
    const held = this.#inMemory[blob];
    if (held) return held;
    await this.#flush();
    const at = blob - this.#inMemory.length;
    const start = this.#offsets[at]!;
    const bytes = new Uint8Array(this.#offsets[at + 1]! - start);
    await this.#try('read', async (handle) => {
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw new Error('the scratch file was cut short');
        done += bytesRead;
      }
    });
    return bytes;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
    if (file) await rm(file.path, { force: true });
  }

  async #flush(): Promise<void> {
    if (this.#waitingBytes === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#try('write', async (handle) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, this.#written + done)).bytesWritten;
      }
    });
    this.#written += bytes.length;
  }

  async #try(doing: string, work: (handle: FileHandle) => Promise<void>): Promise<void> {
    const path = this.#file?.path ?? join(this.#folder, `.cria-data-${process.pid}-${Date.now()}.tmp`);
    try {
      this.#file ??= { path, handle: await openNameless(path) };
      await work(this.#file.handle);
    } catch (error) {
      throw fileError(error, doing, path);
    }
  }
}

async function openNameless(path: string): Promise<FileHandle> {
  const handle = await open(path, 'wx+', 0o600);
  // Not every system removes a file that is open; `close` tries again.
  await rm(path, { force: true }).catch(() => {});
  return handle;
}
