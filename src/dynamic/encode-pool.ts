import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { CriaError } from '../base/errors.js';
import type { EncodeReply } from './encode-worker.js';
import type { RecodeJob } from './recode-rows.js';

const require = createRequire(import.meta.url);

interface Pending {
  readonly job: RecodeJob;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Threads that recode pieces, each one at a time; jobs beyond their number wait. End it with `close`. */
export class EncodePool {
  readonly #workers: Worker[] = [];
  readonly #idle: Worker[] = [];
  readonly #waiting: Pending[] = [];
  readonly #running = new Map<Worker, Pending>();
  #failure: Error | undefined;

  constructor(threads: number) {
    for (let i = 0; i < threads; i++) {
      const worker = new Worker(require.resolve('#encode-worker'), { execArgv: [] });
      worker.on('message', (reply: EncodeReply) => this.#finish(worker, reply));
      worker.on('error', (error) => this.#fail(error));
      this.#workers.push(worker);
      this.#idle.push(worker);
    }
  }

  /** Recodes one piece. Rejects with what `recodeRows` throws; after the death of a thread every job rejects. */
  recode(job: RecodeJob): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads; jobs that are not done are dropped. */
  async close(): Promise<void> {
    this.#failure ??= new CriaError('internal', 'pool-closed', 'the encoding threads were ended');
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const pending = this.#waiting.shift()!;
      this.#running.set(worker, pending);
      worker.postMessage(pending.job);
    }
  }

  #finish(worker: Worker, { error }: EncodeReply): void {
    const pending = this.#running.get(worker)!;
    this.#running.delete(worker);
    this.#idle.push(worker);
    if (error) pending.reject(new CriaError(error.kind, error.code, error.message));
    else pending.resolve();
    this.#dispatch();
  }

  #fail(cause: Error): void {
    const outOfMemory = (cause as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
    this.#failure ??= new CriaError(
      outOfMemory ? 'resources' : 'internal',
      outOfMemory ? 'out-of-memory' : 'encode-thread-failed',
      `an encoding thread failed: ${cause.message}`,
      { cause },
    );
    for (const { reject } of [...this.#running.values(), ...this.#waiting]) reject(this.#failure);
    this.#running.clear();
    this.#waiting.length = 0;
  }
}
