import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';

const require = createRequire(import.meta.url);

/** More than the caches that a thread has to itself hold. */
const BYTES_PER_THREAD = 128 * 2 ** 20;
const ROUNDS = 4;

/**
 * Bytes per second that `threads` threads together read from memory in a row, measured in a fraction of a second:
 * what bounds the generation of text.
 */
export async function measureMemoryBandwidth(threads: number): Promise<number> {
  const gate = new SharedArrayBuffer(4);
  const workerData = { bytes: BYTES_PER_THREAD, rounds: ROUNDS, gate };
  const workers = Array.from(
    { length: threads },
    () => new Worker(require.resolve('#bandwidth-worker'), { workerData, execArgv: [] }),
  );
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const results = workers.map(async (worker) => (await once(worker, 'message'))[0] as number[]);
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    // The threads' slowest rounds overlap least with one another; the median is what they have side by side.
    const medians = (await Promise.all(results)).map((times) => times.sort((a, b) => a - b)[ROUNDS >> 1]!);
    return medians.reduce((sum, milliseconds) => sum + (BYTES_PER_THREAD / milliseconds) * 1000, 0);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
