// Entry point of the threads that encode pieces.
import { parentPort } from 'node:worker_threads';
import { CriaError, type ErrorKind } from '../base/errors.js';
import { type RecodeJob, recodeRows } from './recode-rows.js';

/** Answer to a job; without an error it is done. */
export interface EncodeReply {
  readonly error?: { readonly kind: ErrorKind; readonly code: string; readonly message: string };
}

parentPort!.on('message', (job: RecodeJob) => {
  let reply: EncodeReply = {};
  try {
    recodeRows(job);
  } catch (error) {
    // Errors of a class of our own lose it on the way between threads. Others are defects and end the thread.
    if (!(error instanceof CriaError)) throw error;
    reply = { error: { kind: error.kind, code: error.code, message: error.message } };
  }
  parentPort!.postMessage(reply);
});
