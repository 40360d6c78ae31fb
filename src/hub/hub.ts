import { downloadFile, fileDownloadInfo, listFiles, listModels, modelInfo } from '@huggingface/hub';
import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import type { ContentId } from './content-hash.js';
import { type Head, HttpClient, type HttpClientOptions } from './http-client.js';
import { refusalError } from './hub-errors.js';
import type { HubSettings } from './settings.js';

/** A file of a repository. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  readonly id: ContentId;
  /** Its content is in Xet, the Hub's storage by chunks. */
  readonly isXet: boolean;
}

/** The files of one commit. */
export interface HubListing {
  readonly repo: string;
  readonly revision: string;
  /** 40 hex digits. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** More than any repository has that is a model. */
const MAX_FILES = 100_000;

/** A model repository host: the Hub, or a server that speaks its protocol. */
export class Hub {
  readonly settings: HubSettings;
  readonly client: HttpClient;

  constructor(
    settings: HubSettings,
    options: Pick<HttpClientOptions, 'connections' | 'firstWaitMs' | 'signal'>,
  ) {
    this.settings = settings;
    this.client = new HttpClient({ ...settings, ...options });
  }

  /**
   * Throws `hub-offline`, `hub-unreachable`, `hub-bad-answer` (network) and the errors of `refusalError`, those about
   * names with the nearest that exists.
   */
  async list(repo: string, revision: string): Promise<HubListing> {
    if (this.settings.offline) {
      throw new CriaError('network', 'hub-offline', `cannot look ${repo} up: HF_HUB_OFFLINE is set`);
    }
    const { endpoint: hubUrl } = this.settings;
    // The library would lose the header that names the kind of refusal.
    const fetch: HttpClient['fetch'] = async (input, init) => {
      const response = await this.client.fetch(input, init);
      if (!response.ok) throw await this.#refused(response, repo, revision);
      return response;
    };
    try {
      const { sha: commit } = await modelInfo({
        name: repo,
        revision,
        hubUrl,
        fetch,
        additionalFields: ['sha'],
      });
      if (typeof commit !== 'string' || !/^[0-9a-f]{40}$/.test(commit)) throw badListing(repo, 'no commit');
      const files: HubFile[] = [];
      for await (const entry of listFiles({ repo, recursive: true, revision: commit, hubUrl, fetch })) {
        if (entry.type !== 'file') continue;
        if (files.length === MAX_FILES) throw badListing(repo, `more than ${MAX_FILES} files`);
        files.push(checkedFile(entry, repo));
      }
      return { repo, revision, commit, files };
    } catch (error) {
      // The library parses answers; one that is not JSON, or has another shape, surfaces as these.
      if (error instanceof SyntaxError || error instanceof TypeError) throw badListing(repo, error.message);
      throw error;
    }
  }

  /** Address of a file's content. */
  fileAddress({ repo, commit }: HubListing, path: string): string {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return `${this.settings.endpoint}/${repo}/resolve/${commit}/${encoded}`;
  }

  /**
   * The content of a file in Xet, by Xet's own protocol; undefined when the Hub offers it over HTTP only. Slices of the
   * blob fetch their part.
   */
  async xetContent({ repo, commit }: HubListing, path: string): Promise<Blob | undefined> {
    const { endpoint: hubUrl } = this.settings;
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    const about = { repo, path: encoded, revision: commit, hubUrl, fetch: this.client.fetch };
    const downloadInfo = await fileDownloadInfo(about);
    if (!downloadInfo?.xet) return undefined;
    // The pieces of a file run in parallel already.
    return (await downloadFile({ ...about, downloadInfo, parallelDownloads: false })) ?? undefined;
  }

  /** The error for an answer to a request for a file. */
  refusal(repo: string, { status, headers }: Head): CriaError {
    const [code, message] = [headers['x-error-code'], headers['x-error-message']];
    return refusalError({ status, code, message }, repo, this.settings);
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  async #refused({ status, headers, body }: Response, repo: string, revision: string): Promise<CriaError> {
    await body?.cancel();
    const code = headers.get('x-error-code') ?? undefined;
    const message = headers.get('x-error-message') ?? undefined;
    const refusal = refusalError({ status, code, message }, repo, this.settings);
    if (refusal.code === 'hub-no-such-revision') {
      return new CriaError(refusal.kind, refusal.code, `${repo} has no branch, tag or commit '${revision}'`);
    }
    if (refusal.code !== 'hub-no-such-repository') return refusal;
    const hint = didYouMean(repo, await this.#similar(repo));
    return new CriaError(refusal.kind, refusal.code, refusal.message + hint);
  }

  /** Names of repositories like `repo`; none when the Hub cannot say, since this only completes another error. */
  async #similar(repo: string): Promise<string[]> {
    const { endpoint: hubUrl } = this.settings;
    const names: string[] = [];
    try {
      const query = repo.slice(repo.indexOf('/') + 1);
      for await (const { name } of listModels({
        search: { query },
        limit: 20,
        hubUrl,
        fetch: this.client.fetch,
      })) {
        names.push(name);
      }
    } catch {
      return [];
    }
    return names;
  }
}

function checkedFile(
  entry: {
    readonly path: unknown;
    readonly size: unknown;
    readonly oid?: unknown;
    readonly lfs?: { oid: unknown };
    readonly xetHash?: unknown;
  },
  repo: string,
): HubFile {
  const { path, size } = entry;
  const hex = entry.lfs === undefined ? entry.oid : entry.lfs.oid;
  const length = entry.lfs === undefined ? 40 : 64;
  if (typeof path !== 'string' || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw badListing(repo, 'an entry without a path or a size');
  }
  if (typeof hex !== 'string' || hex.length !== length || !/^[0-9a-f]+$/.test(hex)) {
    throw badListing(repo, `no content hash for '${path}'`);
  }
  return {
    path,
    size,
    id: { kind: entry.lfs === undefined ? 'git' : 'sha256', hex },
    isXet: entry.xetHash !== undefined,
  };
}

function badListing(repo: string, found: string): CriaError {
  return new CriaError('network', 'hub-bad-answer', `the file list of ${repo} is not as expected: ${found}`);
}
