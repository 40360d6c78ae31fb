import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { CriaError } from '../../base/errors.js';
import { FileReader } from '../../base/file-reader.js';
import type { FileRow } from './file-row.js';
import type { ParquetReply } from './parquet-worker.js';

const require = createRequire(import.meta.url);

/** Memory of the reading process: a row group of the largest size as JavaScript strings, twice. */
const HEAP_MEBIBYTES = 4096;

/**
 * The rows of a Parquet file. It is read in a process of its own, because a small file can claim runs of any length,
 * which the library writes out: JavaScript engines give up on that not with an exception, but with their process.
 * Throws `bad-parquet` (bad-file), and what FileReader throws.
 */
export async function* parquetRows(path: string): AsyncGenerator<FileRow> {
  await (await FileReader.open(path)).close();
  const reader = fork(require.resolve('#parquet-worker'), [path], {
    execArgv: [`--max-old-space-size=${HEAP_MEBIBYTES}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  try {
    let row = 1;
    for (;;) {
      const reply = await nextReply(reader);
      if (reply.kind === 'end') return;
      if (reply.kind === 'error') throw badParquet(path, reply.reason);
      for (const value of reply.rows) {
        yield { row: row++, offset: reply.offset, content: { kind: 'value', value } };
      }
    }
  } finally {
    reader.kill('SIGKILL');
  }
}

function nextReply(reader: ChildProcess): Promise<ParquetReply> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      reader.off('message', onMessage);
      reader.off('exit', onExit);
      reader.off('error', onError);
    };
    const onMessage = (reply: unknown) => {
      settle();
      resolve(reply as ParquetReply);
    };
    const onExit = () => {
      settle();
      resolve({ kind: 'error', reason: 'its pages claim more values than memory holds' });
    };
    const onError = (error: Error) => {
      settle();
      reject(
        new CriaError('resources', 'no-process', `cannot start a process to read Parquet: ${error.message}`),
      );
    };
    reader.on('message', onMessage);
    reader.on('exit', onExit);
    reader.on('error', onError);
    // A process that has ended takes no message; its end is what is waited for then.
    reader.send('more', () => {});
  });
}

function badParquet(path: string, reason: string): CriaError {
  const line = reason.replace(/\p{Cc}/gu, ' ').slice(0, 300);
  return new CriaError('bad-file', 'bad-parquet', `'${path}': the Parquet file cannot be read: ${line}`);
}
