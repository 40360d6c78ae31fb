import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** Asks for the bytes of a file up to `upTo` to be added to its hash; the file is opened at the first request. */
export interface HashRequest {
  readonly file: number;
  readonly path: string;
  readonly size: number;
  readonly kind: 'sha256' | 'git';
  readonly upTo: number;
}

/** Sent once for each file: when it is complete, or could not be read. */
export interface HashReply {
  readonly file: number;
  readonly hex?: string;
  readonly error?: string;
}

const buffer = Buffer.allocUnsafeSlow(1 << 20);
const files = new Map<number, { readonly descriptor: number; readonly hash: Hash; position: number }>();

function advance({ file, path, size, kind, upTo }: HashRequest): HashReply | undefined {
  let state = files.get(file);
  if (state === undefined) {
    const hash = createHash(kind === 'git' ? 'sha1' : 'sha256');
    if (kind === 'git') hash.update(`blob ${size}\0`);
    state = { descriptor: openSync(path, 'r'), hash, position: 0 };
    files.set(file, state);
  }
  while (state.position < upTo) {
    const length = Math.min(buffer.length, upTo - state.position);
    const bytes = readSync(state.descriptor, buffer, 0, length, state.position);
    if (bytes === 0) throw new Error(`'${path}' became shorter while it was written`);
    state.hash.update(buffer.subarray(0, bytes));
    state.position += bytes;
  }
  if (state.position < size) return undefined;
  closeSync(state.descriptor);
  files.delete(file);
  return { file, hex: state.hash.digest('hex') };
}

parentPort?.on('message', (request: HashRequest) => {
  try {
    const reply = advance(request);
    if (reply) parentPort?.postMessage(reply);
  } catch (error) {
    parentPort?.postMessage({ file: request.file, error: (error as Error).message } satisfies HashReply);
  }
});
