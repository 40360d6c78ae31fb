import { CriaError } from '../base/errors.js';
import type { Range } from '../base/range-set.js';
import type { ContentHasher, ContentId } from './content-hash.js';
import { busyServer, type Head, type HttpClient } from './http-client.js';
import { PartialFile, type PartialFilePaths } from './partial-file.js';
import { RangeWriter } from './range-writer.js';
import { Retries, TransientError } from './retries.js';
import { type OpenXet, XetContent } from './xet-content.js';

/** A file to fetch. */
export interface Download {
  /** Where the Hub has it; it mostly answers with a redirect to another host. */
  readonly address: string;
  readonly size: number;
  readonly id: ContentId;
  readonly paths: PartialFilePaths;
  /** Where it also is, if the content is in Xet. */
  readonly openXet?: OpenXet;
  /** What an answer means that is neither the file nor temporary (401, 403, 404 …). */
  readonly refusal: (head: Head) => CriaError;
}

const MAX_PIECE_BYTES = 32 << 20;
/** In Xet each piece costs more requests. */
const MAX_XET_PIECE_BYTES = 128 << 20;
const MIN_PIECE_BYTES = 4 << 20;
/** Statuses of an address that was signed for a time which is over. */
const EXPIRED: ReadonlySet<number> = new Set([401, 403, 404, 410]);

/** The server sends the whole file whatever part it is asked for. */
class RangesIgnored extends Error {}

/** A file on its way, fetched in pieces over several connections. */
export class FileDownload {
  readonly download: Download;
  readonly file: PartialFile;
  readonly #client: HttpClient;
  readonly #onBytes: (bytes: number) => void;
  readonly #pieces: Range[];
  /** Where the Hub has redirected to: asking there straight away saves a round trip for each piece. */
  #location: string | undefined;
  readonly #xet: XetContent | undefined;
  #active = 0;
  #whole = false;

  private constructor(
    download: Download,
    file: PartialFile,
    client: HttpClient,
    connections: number,
    onBytes: (bytes: number) => void,
  ) {
    this.download = download;
    this.file = file;
    this.#client = client;
    this.#onBytes = onBytes;
    this.#xet = download.openXet && new XetContent(download.openXet);
    this.#pieces = cut(file.missing(), connections, this.#xet ? MAX_XET_PIECE_BYTES : MAX_PIECE_BYTES);
  }

  static async open(
    download: Download,
    options: {
      readonly client: HttpClient;
      readonly hasher: ContentHasher;
      readonly connections: number;
      /** Told of bytes as they are written; of a negative number when some have to be fetched again. */
      readonly onBytes: (bytes: number) => void;
    },
  ): Promise<FileDownload> {
    const { client, hasher, connections, onBytes } = options;
    const file = await PartialFile.open(download.paths, download.size, download.id, hasher);
    return new FileDownload(download, file, client, connections, onBytes);
  }

  /** The next piece nobody has taken. */
  take(): Range | undefined {
    return this.#pieces.shift();
  }

  get complete(): boolean {
    return this.file.doneBytes === this.download.size;
  }

  /** Fetches a piece, again and again if need be; the last to end fetches the whole if the server knows no pieces. */
  async fetch(piece: Range, signal: AbortSignal): Promise<void> {
    this.#active++;
    try {
      await this.#fetchRange(piece, false, signal);
    } catch (error) {
      if (!(error instanceof RangesIgnored)) throw error;
      this.#whole = true;
      this.#pieces.length = 0;
    } finally {
      this.#active--;
    }
    if (this.#whole && this.#active === 0 && !this.complete) {
      const before = this.file.doneBytes;
      this.file.keepPrefix();
      this.#onBytes(this.file.doneBytes - before);
      await this.#fetchRange({ start: this.file.prefix, end: this.download.size }, true, signal);
    }
  }

  /** `whole` asks for the file from its beginning and passes over what comes before the range. */
  async #fetchRange({ start, end }: Range, whole: boolean, signal: AbortSignal): Promise<void> {
    const retries = new Retries(signal, this.#client.firstWaitMs);
    for (let position = start; position < end; ) {
      if (this.#whole !== whole) throw new RangesIgnored();
      const skip = whole ? position : 0;
      const writer = new RangeWriter(this.file, { start: position, end, skip }, (buffers, bytes) => {
        for (const buffer of buffers) this.#client.blocks.release(buffer);
        this.#onBytes(bytes);
      });
      const asked = whole ? undefined : { start: position, end };
      const failure = await this.#attempt(asked, writer, signal).catch((error: unknown) => error);
      await writer.flush();
      if (writer.position > position) retries.succeeded();
      position = writer.position;
      if (failure !== undefined) await retries.waitAfter(failure);
      else if (position < end)
        await retries.waitAfter(new TransientError('the server ended its answer early'));
    }
  }

  async #attempt(asked: Range | undefined, writer: RangeWriter, signal: AbortSignal): Promise<undefined> {
    const push = (chunk: Buffer) => writer.push(chunk);
    if (asked && this.#xet?.available && (await this.#xet.read(asked, push, signal))) return;
    const location = this.#location;
    await this.#client.get(
      location ?? this.download.address,
      {
        head: (head) => {
          if (location !== undefined && EXPIRED.has(head.status)) {
            this.#location = undefined;
            throw new TransientError(`${new URL(location).host} answers with status ${head.status}`);
          }
          this.#checkHead(head, asked);
          if (head.url !== this.download.address) this.#location = head.url;
        },
        data: push,
      },
      {
        headers: asked ? { range: `bytes=${asked.start}-${asked.end - 1}` } : {},
        signal,
        content: location === undefined ? 'behind-redirects' : 'here',
      },
    );
  }

  #checkHead(head: Head, asked: Range | undefined): void {
    const { status, headers } = head;
    const busy = busyServer(head);
    if (busy) throw busy;
    const { host } = new URL(head.url);
    if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') {
      throw new CriaError(
        'network',
        'hub-bad-answer',
        `${host} sends the file compressed, which was not asked for`,
      );
    }
    if (status === 206 && asked) {
      const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers['content-range'] ?? '') ?? [];
      if (total !== undefined && total !== '*') this.#checkSize(Number(total), host);
      if (Number(from) !== asked.start || Number(to) !== asked.end - 1) {
        throw new TransientError(`${host} sends another part of the file than it was asked for`);
      }
    } else if (status === 200) {
      const length = headers['content-length'];
      if (length !== undefined) this.#checkSize(Number(length), host);
      if (asked && asked.end - asked.start < this.download.size) throw new RangesIgnored();
    } else if (status === 416) {
      this.#checkSize(Number(/\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] ?? 0), host);
    } else {
      throw this.download.refusal(head);
    }
  }

  #checkSize(found: number, host: string): void {
    if (found === this.download.size) return;
    throw new CriaError(
      'bad-file',
      'hub-wrong-size',
      `${host} sends ${found} bytes for '${this.download.paths.final}', where ${this.download.size} are listed`,
    );
  }
}

/** Ranges in pieces small enough that every connection gets some, large enough that asking costs little. */
function cut(ranges: readonly Range[], connections: number, largest: number): Range[] {
  const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const wanted = Math.ceil(bytes / (2 * connections));
  const length = Math.min(largest, Math.max(MIN_PIECE_BYTES, wanted));
  const pieces: Range[] = [];
  for (const { start, end } of ranges) {
    for (let at = start; at < end; at += length) pieces.push({ start: at, end: Math.min(end, at + length) });
  }
  return pieces;
}
