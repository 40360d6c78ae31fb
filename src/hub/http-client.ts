import { CriaError } from '../base/errors.js';
import { connectionError } from './connection-error.js';
import { DirectConnection } from './direct-connection.js';
import { Connections } from './proxies.js';
import { ReadBlocks } from './read-blocks.js';
import { Retries, retryAfterMs, TransientError } from './retries.js';

/** The beginning of an answer. */
export interface Head {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer came from, after all redirects. */
  readonly url: string;
}

/** Takes the answer to a request. What its functions throw ends the request and is thrown by it. */
export interface Sink {
  /** Called once, with the answer that is not a redirect. */
  head(head: Head): void;
  /**
   * `chunk` may be kept; giving it back to the client's `blocks` saves memory. A promise holds the connection back
   * until it is settled.
   */
  data(chunk: Buffer): Promise<void> | undefined;
}

export interface HttpClientOptions {
  /** Origin and path of the Hub; only requests to this origin carry the token. */
  readonly endpoint: string;
  readonly token?: string;
  /** Connections to one server at most. */
  readonly connections: number;
  /** First wait after a failure; tests shorten it. */
  readonly firstWaitMs?: number;
  /** Where the proxies are named; `process.env` by default. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Ends what `fetch` is doing; `get` is given its own. */
  readonly signal?: AbortSignal;
}

const MAX_REDIRECTS = 8;
const STANDARD_HEADERS = { 'user-agent': 'cria', 'accept-encoding': 'identity' };
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * GET requests over http and https, straight or through a proxy. Redirects are followed to http and https addresses
 * only, never from https to http; the token, and an `authorization` header of the caller, do not follow to another
 * origin. The answer is handed over in the buffers it arrived in.
 */
export class HttpClient {
  readonly firstWaitMs: number;
  readonly #origin: string;
  readonly #token: string | undefined;
  readonly #connections: Connections;
  readonly blocks = new ReadBlocks();
  readonly #direct = new Map<string, DirectConnection[]>();
  readonly #signal: AbortSignal | undefined;

  constructor({
    endpoint,
    token,
    connections,
    firstWaitMs = 500,
    environment = process.env,
    signal,
  }: HttpClientOptions) {
    this.firstWaitMs = firstWaitMs;
    this.#origin = new URL(endpoint).origin;
    this.#token = token;
    this.#signal = signal;
    this.#connections = new Connections(connections, environment);
  }

  async close(): Promise<void> {
    for (const connection of [...this.#direct.values()].flat()) connection.close();
    await this.#connections.close();
  }

  /**
   * One attempt, whatever the status of the answer. `content` tells that the body is large, where redirects lead at
   * least. Throws TransientError when the connection fails.
   */
  async get(
    address: string,
    sink: Sink,
    options: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly signal?: AbortSignal;
      readonly content?: 'here' | 'behind-redirects';
    } = {},
  ): Promise<Head> {
    let url = new URL(address);
    const first = url;
    for (let redirects = 0; ; redirects++) {
      const headers: Record<string, string> = { ...options.headers };
      if (url.origin !== first.origin) delete headers.authorization;
      if (url.origin === this.#origin && this.#token !== undefined) {
        headers.authorization ??= `Bearer ${this.#token}`;
      }
      const { signal, content } = options;
      const straight = content === 'here' || (content !== undefined && redirects > 0);
      const head =
        (straight ? await this.#sendStraight(url, headers, signal, sink) : undefined) ??
        (await this.#send(url, headers, signal, sink));
      const location = redirectTarget(head);
      if (location === undefined) return head;
      if (redirects === MAX_REDIRECTS) {
        throw new CriaError(
          'network',
          'hub-bad-answer',
          `${first.host} redirects more than ${MAX_REDIRECTS} times`,
        );
      }
      url = checkedRedirect(url, location);
    }
  }

  /** The standard `fetch`, as far as the Hub's client library uses it: GET, with busy servers asked again. */
  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    if ((init.method ?? 'GET') !== 'GET') throw new TypeError(`cannot send a ${init.method} request`);
    const address = input instanceof Request ? input.url : String(input);
    const headers = Object.fromEntries(new Headers(init.headers));
    const signal = init.signal ?? this.#signal;
    const retries = new Retries(signal, this.firstWaitMs);
    for (;;) {
      try {
        return await this.#respond(address, headers, signal);
      } catch (error) {
        await retries.waitAfter(error);
      }
    }
  };

  #respond(
    address: string,
    headers: Readonly<Record<string, string>>,
    outer: AbortSignal | undefined,
  ): Promise<Response> {
    const cancel = new AbortController();
    const signal = outer ? AbortSignal.any([outer, cancel.signal]) : cancel.signal;
    return new Promise((resolve, reject) => {
      let body: ReadableStreamDefaultController<Uint8Array> | undefined;
      let drained: (() => void) | undefined;
      this.get(
        address,
        {
          head: (head) => {
            const busy = busyServer(head);
            if (busy) throw busy;
            const stream = new ReadableStream<Uint8Array>({
              start: (controller) => {
                body = controller;
              },
              pull: () => drained?.(),
              cancel: () => cancel.abort(),
            });
            const empty = head.status === 204 || head.status === 304;
            resolve(new Response(empty ? null : stream, { status: head.status, headers: head.headers }));
          },
          data: (chunk) => {
            body?.enqueue(chunk);
            if (body === undefined || (body.desiredSize ?? 1) > 0) return undefined;
            return new Promise((resume) => {
              drained = resume;
            });
          },
        },
        { headers, signal },
      ).then(
        () => body?.close(),
        (error) => {
          reject(error);
          body?.error(error);
        },
      );
    });
  }

  /** As `#send`, where there is no proxy and the answer is simple; undefined where not. */
  async #sendStraight(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
    sink: Sink,
  ): Promise<Head | undefined> {
    if (this.#connections.proxied(url)) return undefined;
    const open = (this.#direct.get(url.origin) ?? []).filter(({ reusable }) => reusable);
    let connection = open.find(({ idle }) => idle);
    if (connection === undefined) {
      connection = new DirectConnection(url, this.blocks);
      open.push(connection);
    }
    this.#direct.set(url.origin, open);
    return connection.get(url, { ...STANDARD_HEADERS, ...headers }, sink, signal);
  }

  #send(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
    sink: Sink,
  ): Promise<Head> {
    signal?.throwIfAborted();
    return new Promise<Head>((resolve, reject) => {
      let head: Head | undefined;
      let abort: (reason: Error) => void = () => {};
      let resume = () => {};
      let failure: unknown;
      const stop = (reason: unknown) => {
        failure ??= reason;
        abort(reason as Error);
      };
      const onAbort = () => stop(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      const ended = () => signal?.removeEventListener('abort', onAbort);
      this.#connections.to(url).dispatch(
        {
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method: 'GET',
          headers: { ...STANDARD_HEADERS, ...headers },
        },
        {
          onConnect: (abortRequest) => {
            abort = abortRequest as (reason: Error) => void;
            if (failure !== undefined) stop(failure);
          },
          onHeaders: (status, raw, resumeRequest) => {
            if (status < 200) return true;
            resume = resumeRequest;
            head = { status, headers: headerRecord(raw), url: url.href };
            try {
              if (redirectTarget(head) === undefined) sink.head(head);
            } catch (error) {
              stop(error);
            }
            return true;
          },
          onData: (chunk) => {
            if (failure !== undefined || redirectTarget(head) !== undefined) return true;
            // After a pause undici can hand over nothing; pausing again at that would never end.
            if (chunk.length === 0) return true;
            try {
              const pending = sink.data(chunk);
              pending?.then(() => resume(), stop);
              return pending === undefined;
            } catch (error) {
              stop(error);
              return true;
            }
          },
          onComplete: () => {
            ended();
            if (failure !== undefined || head === undefined) reject(failure);
            else resolve(head);
          },
          onError: (error) => {
            ended();
            reject(failure ?? connectionError(url, error));
          },
        },
      );
    });
  }
}

/** What a status means when the same request may fare better later; undefined for every other. */
export function busyServer({ status, headers, url }: Head): TransientError | undefined {
  if (status !== 408 && status !== 429 && status < 500) return undefined;
  return new TransientError(`${new URL(url).host} answers with status ${status}`, {
    retryAfterMs: retryAfterMs(headers['retry-after']),
  });
}

function redirectTarget(head: Head | undefined): string | undefined {
  return head && REDIRECTS.has(head.status) ? head.headers.location : undefined;
}

function checkedRedirect(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const allowed = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
  if (to === undefined || !allowed) {
    throw new CriaError(
      'network',
      'hub-bad-answer',
      `${from.host} redirects to ${to === undefined ? 'no address' : to.protocol}, which is not followed`,
    );
  }
  return to;
}

function headerRecord(raw: readonly Buffer[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    headers[raw[i]!.toString('latin1').toLowerCase()] = raw[i + 1]!.toString('latin1');
  }
  return headers;
}
