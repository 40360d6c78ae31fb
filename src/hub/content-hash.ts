import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { HashReply, HashRequest } from './hash-worker.js';

const require = createRequire(import.meta.url);

/** What a file must hash to. */
export interface ContentId {
  /** `sha256` of the bytes (large files), or the `git` blob's SHA-1 (small ones). */
  readonly kind: 'sha256' | 'git';
  /** In small letters; it is the name of the file in the cache. */
  readonly hex: string;
}

/**
 * Hashes files while they are being written: a worker thread reads what has been finished so far from the front,
 * which is still in the system's memory, so that no byte is fetched from the disk again and the thread that moves
 * bytes does not compute. One worker serves all files.
 */
export class ContentHasher {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (hex: string) => void; reject: (error: Error) => void }>();
  #next = 0;

  constructor() {
    this.#worker = new Worker(require.resolve('#hash-worker'), { execArgv: [] });
    this.#worker.unref();
    this.#worker.on('message', ({ file, hex, error }: HashReply) => {
      const waiting = this.#waiting.get(file);
      this.#waiting.delete(file);
      if (hex === undefined) waiting?.reject(new Error(error));
      else waiting?.resolve(hex);
    });
    this.#worker.on('error', (error) => {
      for (const { reject } of this.#waiting.values()) reject(error as Error);
      this.#waiting.clear();
    });
  }

  start(path: string, size: number, kind: ContentId['kind']): FileHash {
    const file = this.#next++;
    const result = new Promise<string>((resolve, reject) => {
      this.#waiting.set(file, { resolve, reject });
    });
    // A file that is given up never asks for its hash.
    result.catch(() => {});
    return new FileHash((message) => this.#worker.postMessage(message), { file, path, size, kind }, result);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** The hash of one file, as far as it has come. */
export class FileHash {
  readonly #post: (message: HashRequest) => void;
  readonly #about: Omit<HashRequest, 'upTo'>;
  readonly #result: Promise<string>;

  constructor(
    post: (message: HashRequest) => void,
    about: Omit<HashRequest, 'upTo'>,
    result: Promise<string>,
  ) {
    this.#post = post;
    this.#about = about;
    this.#result = result;
  }

  /** The bytes before `position` are final. */
  reached(position: number): void {
    this.#post({ ...this.#about, upTo: position });
  }

  /** The hash in hex, once `reached(size)` has been called. */
  get result(): Promise<string> {
    return this.#result;
  }
}
