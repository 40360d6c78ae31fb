/** Node, V8, the code, and what it takes to read rows, in bytes: what a process has beside the memories of training. */
const PROCESS_BYTES = 130e6;
/** What a thread keeps of a step beside its memory: what has to be done on the way back. */
const THREAD_BYTES = 14e6;

/** Bytes that a process trains with beside those of its WebAssembly memories. */
export function processBytes(threads: number): number {
  return PROCESS_BYTES + threads * THREAD_BYTES;
}
