import type { Range } from '../base/range-set.js';
import { TransientError } from './retries.js';

/** Opens a file's content in Xet; undefined when it is only to be had over HTTP. */
export type OpenXet = () => Promise<Blob | undefined>;

/**
 * A file in Xet, the Hub's storage of chunks that files share, as the Hub's own client library reads it. When that
 * fails once, `available` turns false: every such file is also to be had over HTTP.
 */
export class XetContent {
  readonly #open: OpenXet;
  #blob: Promise<Blob | undefined> | undefined;
  #available = true;

  constructor(open: OpenXet) {
    this.#open = open;
  }

  get available(): boolean {
    return this.#available;
  }

  /** Hands the bytes of a range to `push`, which may hold the source back. False when the content is not in Xet. */
  async read(
    { start, end }: Range,
    push: (chunk: Buffer) => Promise<void> | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
    const stop = () => void reader?.cancel().catch(() => {});
    signal.addEventListener('abort', stop);
    try {
      this.#blob ??= this.#open();
      const blob = await this.#blob;
      if (blob === undefined) {
        this.#available = false;
        return false;
      }
      signal.throwIfAborted();
      reader = blob.slice(start, end).stream().getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        const { buffer, byteOffset, byteLength } = next.value;
        await push(Buffer.from(buffer, byteOffset, byteLength));
      }
      signal.throwIfAborted();
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#available = false;
      throw new TransientError(`Xet: ${(error as Error).message}`, { cause: error });
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}
