import { connect as connectPlain, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { connectionError } from './connection-error.js';
import type { Head, Sink } from './http-client.js';
import { CONNECT_TIMEOUT_MS, SILENCE_TIMEOUT_MS } from './proxies.js';
import { BLOCK_BYTES, type ReadBlocks } from './read-blocks.js';

const MAX_HEAD_BYTES = 64 << 10;

interface Request {
  readonly url: URL;
  readonly sink: Sink;
  readonly resolve: (head: Head | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A connection straight to the server that has a file's content, for bodies of known length: the system writes them
 * into blocks that are used again, past the stream and the parser that other requests go through. One request at a
 * time; it stays open in between.
 */
export class DirectConnection {
  readonly #socket: Socket;
  readonly #blocks: ReadBlocks;
  readonly #url: URL;
  #block: Buffer<ArrayBufferLike>;
  /** Bytes of the block that are handed over or belong to the head, and those that are read. */
  #start = 0;
  #filled = 0;
  /** Bytes of the body that are still to come; undefined before its head is complete. */
  #left: number | undefined;
  #head: Head | undefined;
  #request: Request | undefined;
  #paused = false;
  #connected = false;
  #ended = false;

  constructor(url: URL, blocks: ReadBlocks) {
    this.#blocks = blocks;
    this.#url = url;
    this.#block = blocks.take();
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const options: TcpNetConnectOpts = {
      host,
      port: Number(url.port || (secure ? 443 : 80)),
      noDelay: true,
      onread: {
        buffer: () => this.#block.subarray(this.#filled),
        callback: (bytes) => this.#read(bytes),
      },
    };
    this.#socket = secure
      ? connectTls({ ...options, ...(isIP(host) === 0 && { servername: host }) })
      : connectPlain(options);
    this.#socket.setTimeout(CONNECT_TIMEOUT_MS);
    this.#socket.once(secure ? 'secureConnect' : 'connect', () => {
      this.#connected = true;
      this.#socket.setTimeout(SILENCE_TIMEOUT_MS);
    });
    this.#socket.on('timeout', () => {
      // Silence that the disk is the reason of.
      if (this.#paused) this.#socket.setTimeout(SILENCE_TIMEOUT_MS);
      else this.#fail(new Error(this.#connected ? 'it is silent' : 'no connection in time'));
    });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('end', () => this.#fail(new Error('it closed the connection')));
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  /** Whether it is still open. */
  get reusable(): boolean {
    return !this.#ended;
  }

  /** Whether another request may be sent. */
  get idle(): boolean {
    return !this.#ended && this.#request === undefined;
  }

  /**
   * The answer's head once the sink has all of its body; undefined, before the sink was told of anything, when the
   * answer is none of known length. Throws what the sink throws, the signal's reason, and errors of the connection.
   */
  async get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    sink: Sink,
    signal: AbortSignal | undefined,
  ): Promise<Head | undefined> {
    const onAbort = () => this.#end(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#request = { url, sink, resolve, reject };
        const lines = Object.entries({ host: url.host, connection: 'keep-alive', ...headers });
        const fields = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
        this.#socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${fields}\r\n`, 'latin1');
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  close(): void {
    this.#fail(new Error('the connection was closed'));
  }

  /** Takes what was read into the block; whether to go on reading. */
  #read(bytes: number): boolean {
    this.#filled += bytes;
    try {
      if (this.#request === undefined) throw this.#fault('it sends what was not asked for');
      if (this.#left === undefined && !this.#readHead(this.#request)) return !this.#socket.destroyed;
      return this.#readBody(this.#request);
    } catch (error) {
      this.#end(error);
      return false;
    }
  }

  /** Whether the head is complete, and one whose body can be read here. */
  #readHead({ url, sink, resolve }: Request): boolean {
    const end = this.#block.subarray(0, Math.min(this.#filled, MAX_HEAD_BYTES)).indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#filled >= MAX_HEAD_BYTES) throw this.#fault('the head of the answer does not end');
      return false;
    }
    const head = parseHead(this.#block.toString('latin1', 0, end), url);
    const length = head?.headers['content-length'];
    const known = head !== undefined && length !== undefined && /^\d{1,15}$/.test(length);
    if (
      !known ||
      head.headers['transfer-encoding'] !== undefined ||
      (head.status >= 300 && head.status < 400)
    ) {
      this.#request = undefined;
      resolve(undefined);
      this.close();
      return false;
    }
    sink.head(head);
    this.#head = head;
    this.#left = Number(length);
    this.#start = end + 4;
    return true;
  }

  #readBody({ sink, resolve }: Request): boolean {
    const arrived = this.#filled - this.#start;
    if (arrived > this.#left!) throw this.#fault('it sends more than it announced');
    const complete = arrived === this.#left;
    if (!complete && this.#filled < BLOCK_BYTES) return true;
    this.#left! -= arrived;
    const bytes = this.#block.subarray(this.#start, this.#filled);
    this.#block = this.#blocks.take();
    this.#start = 0;
    this.#filled = 0;
    const pending = bytes.length > 0 ? sink.data(bytes) : undefined;
    if (complete) {
      const head = this.#head!;
      const reusable = head.headers.connection?.toLowerCase() !== 'close';
      this.#request = undefined;
      this.#left = undefined;
      resolve(head);
      if (!reusable) this.close();
      return reusable;
    }
    if (pending === undefined) return true;
    this.#paused = true;
    pending.then(
      () => {
        this.#paused = false;
        this.#socket.resume();
      },
      (error) => this.#end(error),
    );
    return false;
  }

  #fault(message: string): Error {
    return connectionError(this.#url, new Error(message));
  }

  #fail(error: Error): void {
    this.#end(connectionError(this.#url, error));
  }

  #end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const request = this.#request;
    this.#request = undefined;
    this.#socket.destroy();
    // What has arrived needs not be fetched again.
    if (request && this.#left !== undefined && this.#filled > this.#start) {
      const bytes = this.#block.subarray(this.#start, Math.min(this.#filled, this.#start + this.#left));
      try {
        request.sink.data(bytes);
      } catch {
        // The first failure is the one to tell of.
      }
    } else this.#blocks.release(this.#block);
    request?.reject(reason);
  }
}

/** Fields that say how long a body is, or which: more than one of them is a fault. */
const SINGLE_FIELDS: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'content-range']);

/** Undefined for what is no head of HTTP/1.1. */
function parseHead(text: string, url: URL): Head | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/.exec(first)?.[1];
  if (status === undefined) return undefined;
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    const key = name?.toLowerCase();
    if (key === undefined || (SINGLE_FIELDS.has(key) && key in headers)) return undefined;
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value!;
  }
  return { status: Number(status), headers, url: url.href };
}
