import { PAGE_BYTES } from './arena-plan.js';

/** The planned WebAssembly memories, shared by all threads, each with the kernels' tables at address `at`. */
export function createArenas(
  arenaBytes: readonly number[],
  tables: Uint8Array,
  at: number,
): WebAssembly.Memory[] {
  return arenaBytes.map((bytes) => {
    const pages = bytes / PAGE_BYTES;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    new Uint8Array(memory.buffer).set(tables, at);
    return memory;
  });
}
