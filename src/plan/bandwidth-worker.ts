// One of the threads of bandwidth.ts: compares two equal buffers, which reads both from end to end.
import { parentPort, workerData } from 'node:worker_threads';

const { bytes, rounds, gate } = workerData as { bytes: number; rounds: number; gate: SharedArrayBuffer };
const left = Buffer.alloc(bytes / 2, 1);
const right = Buffer.alloc(bytes / 2, 1);
const start = new Int32Array(gate);
parentPort!.postMessage('ready');
Atomics.wait(start, 0, 0);
const times: number[] = [];
for (let i = 0; i < rounds; i++) {
  const begin = performance.now();
  left.compare(right);
  times.push(performance.now() - begin);
}
parentPort!.postMessage(times);
