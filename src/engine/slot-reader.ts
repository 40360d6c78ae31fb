// Entry point of the threads that do nothing but read files into slots.
import { parentPort, workerData } from 'node:worker_threads';
import { SlotLoader, type SlotLoaderSetup } from './slot-loader.js';

/** What such a thread is given. */
export interface SlotReaderData {
  readonly setup: SlotLoaderSetup;
  readonly memories: readonly WebAssembly.Memory[];
}

const { setup, memories } = workerData as SlotReaderData;
const loader = new SlotLoader(
  setup,
  memories.map((memory) => new Uint8Array(memory.buffer)),
);
parentPort!.postMessage('ready');
loader.serve();
