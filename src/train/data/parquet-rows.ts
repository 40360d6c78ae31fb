import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { CriaError } from '../../base/errors.js';
import { FileReader } from '../../base/file-reader.js';
import type { FileRow } from './file-row.js';
import type { ParquetReply, ParquetWorkerData } from './parquet-worker.js';

const require = createRequire(import.meta.url);

/** Memory of the reading thread: a row group of the largest size as JavaScript strings, twice. */
const HEAP_MEBIBYTES = 4096;

/**
 * The rows of a Parquet file. It is read in a thread of its own, because a small file can claim runs of any length,
 * which the library writes out: then that thread ends for lack of memory, and nothing else does.
 * Throws `bad-parquet` (bad-file), and what FileReader throws.
 */
export async function* parquetRows(path: string): AsyncGenerator<FileRow> {
  await (await FileReader.open(path)).close();
  const workerData: ParquetWorkerData = { path };
  const worker = new Worker(require.resolve('#parquet-worker'), {
    workerData,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEBIBYTES },
  });
  try {
    let row = 1;
    for (;;) {
      const reply = await nextReply(worker);
      if (reply.kind === 'end') return;
      if (reply.kind === 'error') throw badParquet(path, reply.reason);
      for (const value of reply.rows) {
        yield { row: row++, offset: reply.offset, content: { kind: 'value', value } };
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
    throw badParquet(path, 'its pages claim more values than memory holds', error);
  } finally {
    await worker.terminate();
  }
}

function nextReply(worker: Worker): Promise<ParquetReply> {
  return new Promise((resolve, reject) => {
    const onMessage = (reply: ParquetReply) => {
      worker.off('error', onError);
      resolve(reply);
    };
    const onError = (error: Error) => {
      worker.off('message', onMessage);
      reject(error);
    };
    worker.once('message', onMessage);
    worker.once('error', onError);
    worker.postMessage('more');
  });
}

function badParquet(path: string, reason: string, cause?: unknown): CriaError {
  const line = reason.replace(/\p{Cc}/gu, ' ').slice(0, 300);
  return new CriaError('bad-file', 'bad-parquet', `'${path}': the Parquet file cannot be read: ${line}`, {
    cause,
  });
}
