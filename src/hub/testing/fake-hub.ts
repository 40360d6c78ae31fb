import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request the server got. */
export interface SeenRequest {
  /** `hub` answers the API and redirects to `cdn`, which has the contents of large files. */
  readonly host: 'hub' | 'cdn';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly accept: string | undefined;
  /** Of requests for this path to this host, counted from 0. */
  readonly attempt: number;
}

/** What goes wrong with an answer. */
export interface Fault {
  /** Answers this instead. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Closes the connection after so many bytes of the body. */
  readonly dropAfter?: number;
  /** Goes silent after so many bytes of the body. */
  readonly stallAfter?: number;
  readonly ignoreRange?: boolean;
  readonly corrupt?: boolean;
}

export interface FakeRepository {
  readonly files: Readonly<Record<string, Buffer>>;
  readonly commit?: string;
  /** Large files are in Xet, too. */
  readonly xet?: boolean;
  /** Contents need a token. */
  readonly gated?: boolean;
  /** Everything needs a token. */
  readonly private?: boolean;
}

const MAIN_COMMIT = '0123456789abcdef0123456789abcdef01234567';
/** Files from here on are large ones: known by their SHA-256 and served by the other host. */
const LARGE_BYTES = 1000;
/** Bytes of a chunk in Xet, and of it in its block. */
const [XET_CHUNK, STORED_CHUNK] = [65536, 65536 + 8];
/** Entries of one page of a file list. */
const PAGE = 3;

/**
 * A server that speaks the Hub's protocol as far as pulling needs it, on two ports of the loopback interface, and
 * misbehaves on demand.
 */
export class FakeHub {
  readonly token = 'hf_secret';
  readonly commit = MAIN_COMMIT;
  readonly seen: SeenRequest[] = [];
  /** Asked before every answer. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  /** A size for the file list that is not the file's. */
  listedSize: (path: string) => number | undefined = () => undefined;
  readonly #repositories: Readonly<Record<string, FakeRepository>>;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor(repositories: Readonly<Record<string, FakeRepository>>) {
    this.#repositories = repositories;
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#cdn = createServer((request, response) => this.#answer('cdn', request, response));
  }

  static async start(repositories: Readonly<Record<string, FakeRepository>>): Promise<FakeHub> {
    const hub = new FakeHub(repositories);
    for (const server of [hub.#hub, hub.#cdn]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  /** By another name, so that it is another host to every client. */
  get cdn(): string {
    return `http://localhost:${(this.#cdn.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(host: SeenRequest['host'], request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.endpoint);
    const path = decodeURIComponent(pathname);
    const seen: SeenRequest = {
      host,
      path,
      range: request.headers.range,
      authorization: request.headers.authorization,
      accept: request.headers.accept,
      attempt: this.seen.filter((other) => other.path === path && other.host === host).length,
    };
    this.seen.push(seen);
    const fault = this.fault(seen) ?? {};
    if (fault.status !== undefined) {
      response.writeHead(fault.status, fault.headers).end();
    } else if (host === 'cdn') {
      this.#sendContent(response, this.#contentByHash(path.slice(1)), seen, fault);
    } else if (path.startsWith('/xet-')) {
      this.#answerXet(response, path, seen);
    } else if (path.startsWith('/api/models')) {
      this.#answerApi(response, path, searchParams, seen);
    } else {
      this.#answerResolve(response, path, seen, fault);
    }
  }

  #answerApi(response: ServerResponse, path: string, search: URLSearchParams, seen: SeenRequest): void {
    if (path === '/api/models') {
      sendJson(
        response,
        Object.keys(this.#repositories).map((id) => ({ _id: id, id, lastModified: 0 })),
      );
      return;
    }
    const [, name = '', verb, revision = ''] =
      /^\/api\/models\/([^/]+\/[^/]+)\/(\w+)\/(.+)$/.exec(path) ?? [];
    const repository = this.#open(response, name, revision, seen);
    if (repository === undefined) return;
    if (verb === 'revision') {
      sendJson(response, { _id: name, id: name, sha: repository.commit ?? MAIN_COMMIT, lastModified: 0 });
      return;
    }
    const start = Number(search.get('cursor') ?? 0);
    const entries = Object.entries(repository.files).map(([file, content]) => ({
      type: 'file',
      path: file,
      size: this.listedSize(file) ?? content.length,
      oid: gitHash(content),
      ...(content.length >= LARGE_BYTES && {
        lfs: { oid: sha256(content), size: content.length, pointerSize: 134 },
        ...(repository.xet && { xetHash: sha256(content) }),
      }),
    }));
    if (entries.length > start + PAGE) {
      const next = `${this.endpoint}${path}?recursive=true&cursor=${start + PAGE}`;
      response.setHeader('link', `<${next}>; rel="next"`);
    }
    sendJson(response, entries.slice(start, start + PAGE));
  }

  #answerResolve(response: ServerResponse, path: string, seen: SeenRequest, fault: Fault): void {
    const [, name = '', revision = '', file = ''] =
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const repository = this.#open(response, name, revision, seen);
    if (repository === undefined) return;
    if (repository.gated && seen.authorization !== `Bearer ${this.token}`) {
      response
        .writeHead(401, { 'x-error-code': 'GatedRepo', 'x-error-message': 'Access is restricted' })
        .end();
      return;
    }
    const content = repository.files[file];
    if (content === undefined) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
      return;
    }
    response.setHeader('x-repo-commit', repository.commit ?? MAIN_COMMIT);
    if (content.length < LARGE_BYTES) {
      response.setHeader('etag', `"${gitHash(content)}"`);
      this.#sendContent(response, content, seen, fault);
      return;
    }
    response.setHeader('x-linked-size', content.length);
    if (repository.xet && seen.accept?.includes('xet-fileinfo')) {
      response.setHeader('content-type', 'application/vnd.xet-fileinfo+json');
      response.setHeader('x-xet-hash', sha256(content));
      const [auth, parts] = [`${this.endpoint}/xet-auth`, `${this.endpoint}/xet-v1/v1/reconstructions`];
      response.setHeader('etag', `"${sha256(content)}"`);
      response.setHeader(
        'link',
        `<${auth}>; rel="xet-auth", <${parts}/${sha256(content)}>; rel="xet-reconstruction-info"`,
      );
      response.end('{}');
      return;
    }
    response.setHeader('x-linked-etag', `"${sha256(content)}"`);
    response.writeHead(302, { location: `${this.cdn}/${sha256(content)}?signature=x` }).end('Found');
  }

  /**
   * Xet as far as reading needs it: the file is one block of chunks stored as they are, each behind a header of eight
   * bytes (https://huggingface.co/docs/xet/en/xorb).
   */
  #answerXet(response: ServerResponse, path: string, { range }: SeenRequest): void {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    if (path === '/xet-auth') {
      sendJson(response, { accessToken: 'xet', casUrl: this.endpoint, exp: Date.now() / 1000 + 3600 });
      return;
    }
    const hash = path.slice(path.lastIndexOf('/') + 1);
    const content = this.#contentByHash(hash);
    if (path.startsWith('/xet-block/')) {
      const [first, last] = [Number(from) / STORED_CHUNK, (Number(to) + 1) / STORED_CHUNK];
      response.writeHead(206);
      for (let chunk = first; chunk < last; chunk++) {
        const bytes = content.subarray(chunk * XET_CHUNK, (chunk + 1) * XET_CHUNK);
        const header = Buffer.alloc(8);
        header.writeUIntLE(bytes.length, 1, 3);
        header.writeUIntLE(bytes.length, 5, 3);
        response.write(Buffer.concat([header, bytes]));
      }
      response.end();
      return;
    }
    const chunks = {
      start: Math.floor(Number(from) / XET_CHUNK),
      end: Math.ceil((Number(to) + 1) / XET_CHUNK),
    };
    const bytes = { start: chunks.start * STORED_CHUNK, end: chunks.end * STORED_CHUNK - 1 };
    const length = Math.min(content.length, chunks.end * XET_CHUNK) - chunks.start * XET_CHUNK;
    sendJson(response, {
      terms: [{ hash, unpacked_length: length, range: chunks }],
      xorbs: { [hash]: [{ url: `${this.endpoint}/xet-block/${hash}`, ranges: [{ chunks, bytes }] }] },
      offset_into_first_range: Number(from) - chunks.start * XET_CHUNK,
    });
  }

  /** The repository when this request may see it at this revision; otherwise the refusal is sent. */
  #open(
    response: ServerResponse,
    name: string,
    revision: string,
    seen: SeenRequest,
  ): FakeRepository | undefined {
    const repository = this.#repositories[name];
    const authorized = seen.authorization === `Bearer ${this.token}`;
    if (repository === undefined || (repository.private && !authorized)) {
      response.writeHead(authorized ? 404 : 401, { 'x-error-code': 'RepoNotFound' }).end('{}');
      return undefined;
    }
    if (revision !== 'main' && revision !== (repository.commit ?? MAIN_COMMIT)) {
      response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end('{}');
      return undefined;
    }
    return repository;
  }

  #contentByHash(hash: string): Buffer {
    for (const { files } of Object.values(this.#repositories)) {
      for (const content of Object.values(files)) if (sha256(content) === hash) return content;
    }
    return Buffer.alloc(0);
  }

  #sendContent(response: ServerResponse, content: Buffer, { range }: SeenRequest, fault: Fault): void {
    const [, from, to] = (!fault.ignoreRange && /^bytes=(\d+)-(\d+)$/.exec(range ?? '')) || [];
    const start = Number(from ?? 0);
    const end = Math.min(content.length, Number(to ?? content.length - 1) + 1);
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': end - start,
      ...(from !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }),
      ...fault.headers,
    });
    const body = Buffer.from(content.subarray(start, end));
    if (fault.corrupt) body.fill(0x55, 0, 16);
    const limit = fault.dropAfter ?? fault.stallAfter ?? body.length;
    response.write(body.subarray(0, limit), () => {
      if (fault.dropAfter !== undefined) response.destroy();
      else if (fault.stallAfter === undefined) response.end();
    });
  }
}

const hashes = new WeakMap<Buffer, string>();

export function sha256(content: Buffer): string {
  const known = hashes.get(content) ?? createHash('sha256').update(content).digest('hex');
  hashes.set(content, known);
  return known;
}

export function gitHash(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
