import type { Range } from '../base/range-set.js';
import { ContentHasher } from './content-hash.js';
import { type Download, FileDownload } from './file-download.js';
import type { HttpClient } from './http-client.js';

export interface DownloadOptions<D extends Download> {
  readonly client: HttpClient;
  /** Pieces on their way at once, of all files together. */
  readonly connections: number;
  readonly signal?: AbortSignal;
  /** Told of every byte that is there, those of earlier attempts included. */
  readonly onProgress?: (doneBytes: number) => void;
  /** Called when a file is whole, checked and in its place. */
  readonly onFinished?: (download: D) => Promise<void>;
}

/**
 * Fetches files one after another, each in pieces over several connections; when the last pieces of one are on their
 * way the next begins. What an interruption leaves is used by the next call with the same downloads.
 * Throws the reason of `signal`, `hub-unreachable`, `hub-bad-answer` (network), `hub-wrong-size`, `hub-wrong-content` (bad-file),
 * the errors of `fileError`, and what `refusal` makes of an answer.
 */
export async function downloadFiles<D extends Download>(
  downloads: readonly D[],
  options: DownloadOptions<D>,
): Promise<void> {
  const { client, connections, onProgress, onFinished } = options;
  const hasher = new ContentHasher();
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const waiting = [...downloads];
  const open = new Map<FileDownload, D>();
  let opening: Promise<void> | undefined;
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    onProgress?.(done);
  };

  const finish = async (file: FileDownload) => {
    const download = open.get(file);
    // Two connections can end at once and both find the file whole.
    if (download === undefined) return;
    open.delete(file);
    await file.file.commit();
    await onFinished?.(download);
  };
  const openNext = async () => {
    const download = waiting.shift()!;
    const file = await FileDownload.open(download, { client, hasher, connections, onBytes });
    open.set(file, download);
    onBytes(file.file.doneBytes);
    if (file.complete) await finish(file);
  };
  const nextPiece = async (): Promise<[FileDownload, Range] | undefined> => {
    for (;;) {
      signal.throwIfAborted();
      for (const file of open.keys()) {
        const piece = file.take();
        if (piece) return [file, piece];
      }
      if (waiting.length === 0 && opening === undefined) return undefined;
      opening ??= openNext().finally(() => {
        opening = undefined;
      });
      await opening;
    }
  };
  const work = async () => {
    for (let next = await nextPiece(); next; next = await nextPiece()) {
      const [file, piece] = next;
      await file.fetch(piece, signal);
      if (file.complete) await finish(file);
    }
  };

  try {
    let failure: unknown;
    const workers = Array.from({ length: connections }, () =>
      work().catch((error) => {
        failure ??= error;
        stop.abort();
      }),
    );
    await Promise.all(workers);
    if (failure !== undefined) throw failure;
  } finally {
    await Promise.all([...open.keys()].map((file) => file.file.suspend()));
    await hasher.close();
  }
}
