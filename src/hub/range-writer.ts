import type { PartialFile } from './partial-file.js';
import { TransientError } from './retries.js';

/** Gathered before a write: a system call for each arriving buffer would cost more than the copy. */
const WRITE_BYTES = 1 << 20;
/** Waiting to be written before the connection is held back. */
const MAX_PENDING_BYTES = 4 << 20;

/** Puts the body of one answer where it belongs in a file; arriving and writing overlap. */
export class RangeWriter {
  readonly #file: PartialFile;
  readonly #end: number;
  readonly #onWritten: (buffers: readonly Buffer[], bytes: number) => void;
  #skip: number;
  #written: number;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  /** For bytes `[start, end)`, the first `skip` bytes of the body being others. */
  constructor(
    file: PartialFile,
    range: { readonly start: number; readonly end: number; readonly skip: number },
    onWritten: (buffers: readonly Buffer[], bytes: number) => void,
  ) {
    this.#file = file;
    this.#written = range.start;
    this.#end = range.end;
    this.#skip = range.skip;
    this.#onWritten = onWritten;
  }

  /** Up to where the file has been written. */
  get position(): number {
    return this.#written;
  }

  push(chunk: Buffer): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const bytes = this.#skip < chunk.length ? chunk.subarray(this.#skip) : undefined;
    this.#skip -= Math.min(this.#skip, chunk.length);
    if (bytes === undefined) return undefined;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#written + this.#pendingBytes > this.#end) {
      this.#pending = [];
      this.#pendingBytes = 0;
      throw new TransientError('the server sends more than it was asked for');
    }
    if (this.#pendingBytes >= WRITE_BYTES) this.#writing ??= this.#write();
    return this.#pendingBytes >= MAX_PENDING_BYTES ? this.#writing : undefined;
  }

  /** Writes what is left. Throws what a write threw, now or earlier. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure === undefined && this.#pendingBytes > 0) await this.#write();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #write(): Promise<void> {
    try {
      do {
        const buffers = this.#pending;
        const bytes = this.#pendingBytes;
        this.#pending = [];
        this.#pendingBytes = 0;
        await this.#file.write(this.#written, buffers);
        this.#written += bytes;
        this.#onWritten(buffers, bytes);
      } while (this.#pendingBytes >= WRITE_BYTES);
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#writing = undefined;
    }
  }
}
