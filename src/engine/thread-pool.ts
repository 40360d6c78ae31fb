import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { CriaError, type ErrorKind, EXIT_CODES } from '../base/errors.js';
import { Control, createControl, STOP } from './control.js';
import type { LaneSetup } from './lane.js';
import type { WorkerData } from './worker.js';

const require = createRequire(import.meta.url);

export interface ThreadPoolOptions {
  readonly setup: LaneSetup;
  /** Absolute path of the module whose `createProgram` every lane runs. */
  readonly programPath: string;
  /** Passed to `createProgram`; must survive structured cloning. */
  readonly init: unknown;
  /** 32-bit words of a step's command. */
  readonly commandWords: number;
}

/**
 * Worker threads that run one program in lock-step. Workers sleep between steps and do not keep the process alive
 * unless a step is running.
 */
export class ThreadPool {
  readonly #workers: Worker[];
  readonly #control: Control;
  #step = 0;
  #running = false;
  #failure: Error | undefined;
  #reportFailure: (error: Error) => void = () => {};

  private constructor(workers: Worker[], control: Control) {
    this.#workers = workers;
    this.#control = control;
  }

  static async start(options: ThreadPoolOptions): Promise<ThreadPool> {
    const { setup } = options;
    const buffer = createControl(options.commandWords);
    const workers = Array.from({ length: setup.lanes }, (_, rank) => {
      const workerData: WorkerData = {
        control: buffer,
        setup,
        rank,
        program: pathToFileURL(options.programPath).href,
        init: options.init,
      };
      // Flags of the program, such as --input-type, are about its own entry and can keep a worker from starting.
      return new Worker(require.resolve('#engine-worker'), { workerData, execArgv: [] });
    });
    const pool = new ThreadPool(workers, new Control(buffer, setup.lanes));
    try {
      await Promise.all(
        workers.map(
          (worker) =>
            new Promise<void>((resolve, reject) => {
              worker.once('message', () => resolve());
              worker.once('error', reject);
            }),
        ),
      );
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.terminate()));
      throw error;
    }
    for (const worker of workers) {
      worker.on('error', (error) => pool.#fail(error));
      worker.unref();
    }
    return pool;
  }

  /**
   * Runs one step: `fill` writes its command, every lane executes it. One step at a time. After an error in a lane
   * the pool is unusable and every later call rejects with that error.
   */
  async run(fill: (command: Int32Array) => void): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#running)
      throw new CriaError('internal', 'step-overlap', 'a step was started while another one ran');
    this.#running = true;
    for (const worker of this.#workers) worker.ref();
    try {
      fill(this.#control.command);
      this.#step = (this.#step % 0x3fffffff) + 1;
      const failed = new Promise<never>((_, reject) => {
        this.#reportFailure = reject;
      });
      this.#control.start(this.#step);
      await Promise.race([this.#control.done(this.#step), failed]);
    } finally {
      this.#running = false;
      this.#reportFailure = () => {};
      for (const worker of this.#workers) worker.unref();
    }
  }

  async close(): Promise<void> {
    this.#failure ??= new CriaError('usage', 'model-closed', 'the model was closed');
    this.#control.start(STOP);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #fail(cause: Error): void {
    this.#failure ??= failureOf(cause);
    this.#reportFailure(this.#failure);
  }
}

/** An error as it came out of a thread: its class is lost on the way, its properties are not. */
function failureOf(cause: Error & { kind?: ErrorKind; code?: string }): CriaError {
  const { kind, code, message } = cause;
  if (kind !== undefined && kind in EXIT_CODES && code !== undefined) {
    return new CriaError(kind, code, message, { cause });
  }
  return new CriaError('internal', 'lane-failed', `a compute thread failed: ${message}`, { cause });
}
