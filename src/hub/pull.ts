import { mkdir, statfs } from 'node:fs/promises';

import { formatBytes } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { RepoCache } from './cache-layout.js';
import { downloadFiles } from './download-files.js';
import { DownloadJournal } from './download-journal.js';
import type { Download } from './file-download.js';
import { Hub, type HubFile, type HubListing } from './hub.js';
import { LocalFolder } from './local-folder.js';
import type { ModelName } from './model-name.js';
import { checkRepoPath } from './repo-paths.js';
import { type FileChoice, selectFiles } from './select-files.js';
import type { HubSettings } from './settings.js';

export interface PullOptions extends Omit<FileChoice, 'quant' | 'paths'> {
  /** Files by name, besides one in the model's name. */
  readonly paths?: readonly string[];
  /** Branch, tag or commit; that of the model's name, or `main`. */
  readonly revision?: string;
  /** Put the files here under their own names instead of in the cache. */
  readonly localFolder?: string;
  /** Parts on their way at once; default 8. */
  readonly connections?: number;
  /** First wait after a failed request in milliseconds; default 500. */
  readonly firstWaitMs?: number;
  readonly signal?: AbortSignal;
}

export interface PulledFile {
  /** In the repository. */
  readonly path: string;
  readonly size: number;
  /** Where it is now, or would be. */
  readonly localPath: string;
}

/** What a pull is going to do. */
export interface PullPlan {
  readonly repo: string;
  readonly revision: string;
  readonly commit: string;
  readonly files: readonly PulledFile[];
  /** Size of all files. */
  readonly totalBytes: number;
  /** Of `totalBytes`, what is here already. */
  readonly presentBytes: number;
  /** Fetches what is not here. `onProgress` is told how many of `totalBytes` are here. */
  run(onProgress?: (doneBytes: number) => void): Promise<void>;
}

interface PlannedDownload extends Download {
  readonly files: readonly HubFile[];
}

/** Stays free on a disk: a file system that is full to the last block makes other programs fail. */
const SPARE_BYTES = 64e6;

/**
 * Looks a model up and hands `use` the plan of its download. Throws what `Hub.list`, `selectFiles` and, from `run`,
 * `downloadFiles` throw; `disk-full` (resources) before anything is fetched; `bad-revision` (usage);
 * `hub-bad-file-name` (bad-file); `cancelled`.
 */
export async function withPullPlan<T>(
  name: ModelName,
  settings: HubSettings,
  options: PullOptions,
  use: (plan: PullPlan) => Promise<T>,
): Promise<T> {
  const { connections = 8, signal } = options;
  const revision = checkRevision(options.revision ?? name.revision ?? 'main');
  const hub = new Hub(settings, { connections, firstWaitMs: options.firstWaitMs, signal });
  try {
    const listing = await hub.list(name.repo, revision);
    const paths = [...(name.path === undefined ? [] : [name.path]), ...(options.paths ?? [])];
    const files = selectFiles(listing.files, { ...options, quant: name.quant, paths }, name.repo);
    for (const { path } of files) checkRepoPath(path);
    const target =
      options.localFolder === undefined
        ? cacheTarget(new RepoCache(settings.cacheFolder, name.repo), listing)
        : folderTarget(new LocalFolder(options.localFolder), listing);
    const downloads = await planDownloads(files, target, listing, hub);
    const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
    const missing = downloads.reduce((sum, { size }) => sum + size, 0);
    const partial = await partialBytes(downloads);
    return await use({
      repo: name.repo,
      revision,
      commit: listing.commit,
      files: files.map(({ path, size }) => ({ path, size, localPath: target.localPath(path) })),
      totalBytes,
      presentBytes: totalBytes - missing + partial,
      run: async (onProgress) => {
        if (downloads.length > 0) await checkSpace(target.folder, missing - partial);
        await target.begin();
        await downloadFiles(downloads, {
          client: hub.client,
          connections,
          signal,
          onProgress: (done) => onProgress?.(totalBytes - missing + done),
          onFinished: async (download) => {
            for (const file of download.files) await target.finish(file);
          },
        });
      },
    });
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new CriaError(
      'cancelled',
      'cancelled',
      'stopped; the same command goes on where this one stopped',
      {
        cause: error,
      },
    );
  } finally {
    await hub.close();
  }
}

/** Where files go: the cache, or a folder of their own. */
interface Target {
  readonly folder: string;
  localPath(path: string): string;
  has(file: HubFile): Promise<boolean>;
  paths(file: HubFile): Download['paths'];
  /** True when the content is there and only has to be made visible. */
  hasContent(file: HubFile): Promise<boolean>;
  begin(): Promise<void>;
  finish(file: HubFile): Promise<void>;
}

function cacheTarget(cache: RepoCache, { commit, revision }: HubListing): Target {
  return {
    folder: cache.folder,
    localPath: (path) => cache.filePath(commit, path),
    has: (file) => cache.has(commit, file),
    paths: ({ id }) => cache.blobPaths(id),
    hasContent: ({ id, size }) => cache.hasBlob(id, size),
    begin: () => cache.writeRef(revision, commit),
    finish: ({ path, id }) => cache.link(commit, path, id),
  };
}

function folderTarget(folder: LocalFolder, { commit }: HubListing): Target {
  return {
    folder: folder.folder,
    localPath: (path) => folder.filePath(path),
    has: ({ path, size, id }) => folder.has(path, size, id),
    paths: ({ path, id }) => folder.paths(path, id),
    hasContent: async () => false,
    begin: async () => {},
    finish: ({ path, id }) => folder.recordFetched(path, commit, id),
  };
}

/** Files that are not here, those with the same content and place once; content that is here gets its name. */
async function planDownloads(
  files: readonly HubFile[],
  target: Target,
  listing: HubListing,
  hub: Hub,
): Promise<PlannedDownload[]> {
  const downloads = new Map<string, PlannedDownload>();
  for (const file of files) {
    if (await target.has(file)) continue;
    if (await target.hasContent(file)) {
      await target.finish(file);
      continue;
    }
    const paths = target.paths(file);
    const same = downloads.get(paths.final)?.files ?? [];
    downloads.set(paths.final, {
      address: hub.fileAddress(listing, file.path),
      size: file.size,
      id: file.id,
      paths,
      openXet: file.isXet && hub.settings.xet ? () => hub.xetContent(listing, file.path) : undefined,
      files: [...same, file],
      refusal: (head) => hub.refusal(listing.repo, head),
    });
  }
  return [...downloads.values()];
}

async function partialBytes(downloads: readonly PlannedDownload[]): Promise<number> {
  let bytes = 0;
  for (const { paths, size, id } of downloads) {
    bytes += (await new DownloadJournal(paths.journal, size, id).read()).size;
  }
  return bytes;
}

async function checkSpace(folder: string, bytes: number): Promise<void> {
  let free: number;
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    free = bavail * bsize;
  } catch (error) {
    throw fileError(error, 'write', folder);
  }
  if (bytes + SPARE_BYTES <= free) return;
  throw new CriaError(
    'resources',
    'disk-full',
    `cannot pull to '${folder}': ${formatBytes(bytes)} are needed and ${formatBytes(free)} are free; ` +
      'HF_HUB_CACHE or --local-dir name another disk, `cria rm` makes room',
  );
}

function checkRevision(revision: string): string {
  const valid = /^[\w.\-/+@]{1,255}$/.test(revision) && !/(^|\/)\.{0,2}(\/|$)/.test(revision);
  if (valid) return revision;
  throw new CriaError(
    'usage',
    'bad-revision',
    `--revision expects a branch, a tag or a commit, found '${revision}'`,
  );
}
