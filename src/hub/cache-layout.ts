import { copyFile, lstat, mkdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { fileError } from '../base/file-errors.js';
import type { ContentId } from './content-hash.js';
import type { PartialFilePaths } from './partial-file.js';
import { checkRepoPath } from './repo-paths.js';

const PREFIX = 'models--';

/**
 * One repository in the cache that huggingface_hub, transformers and llama.cpp share
 * (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
 *
 * ```
 * models--user--repo/
 *   blobs/HASH                    contents, named by their SHA-256 or git hash
 *   refs/main                     the commit a branch or tag was at when it was last looked up
 *   snapshots/COMMIT/path/file    relative links to blobs; copies where links cannot be made
 * ```
 */
export class RepoCache {
  readonly repo: string;
  readonly folder: string;

  constructor(cacheFolder: string, repo: string) {
    this.repo = repo;
    this.folder = join(cacheFolder, PREFIX + repo.replaceAll('/', '--'));
  }

  get blobs(): string {
    return join(this.folder, 'blobs');
  }

  get snapshots(): string {
    return join(this.folder, 'snapshots');
  }

  get refs(): string {
    return join(this.folder, 'refs');
  }

  filePath(commit: string, path: string): string {
    checkRepoPath(path);
    return join(this.snapshots, commit, ...path.split('/'));
  }

  /** The endings make `hf cache prune` remove what no later command has completed. */
  blobPaths({ hex }: ContentId): PartialFilePaths {
    const final = join(this.blobs, hex);
    return { partial: `${final}.cria.incomplete`, journal: `${final}.cria-ranges.incomplete`, final };
  }

  /** True when the file, or the blob it would link to, is there in full. */
  async has(commit: string, file: { readonly path: string; readonly size: number }): Promise<boolean> {
    return (await sizeOf(this.filePath(commit, file.path))) === file.size;
  }

  async hasBlob(id: ContentId, size: number): Promise<boolean> {
    return (await sizeOf(this.blobPaths(id).final)) === size;
  }

  /** Makes the blob visible under its name. Errors are those of `fileError`. */
  async link(commit: string, path: string, id: ContentId): Promise<void> {
    const [from, to] = [this.filePath(commit, path), this.blobPaths(id).final];
    try {
      await mkdir(dirname(from), { recursive: true });
      await rm(from, { force: true });
      // Windows lets only some users make links.
      await symlink(relative(dirname(from), to), from).catch(() => copyFile(to, from));
    } catch (error) {
      throw fileError(error, 'write', from);
    }
  }

  /** Remembers what a branch or tag stands for; a commit stands for itself. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    checkRepoPath(revision);
    const path = join(this.refs, ...revision.split('/'));
    if ((await readFile(path, 'utf8').catch(() => '')) === commit) return;
    try {
      await mkdir(dirname(path), { recursive: true });
    } catch (error) {
      throw fileError(error, 'write', path);
    }
    await writeFileAtomic(path, commit);
  }

  /** The commit of a branch, tag or commit that has been fetched before. */
  async readRef(revision: string): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    checkRepoPath(revision);
    const text = await readFile(join(this.refs, ...revision.split('/')), 'utf8').catch(() => '');
    return /^[0-9a-f]{40}$/.test(text.trim()) ? text.trim() : undefined;
  }
}

/** `user/repo` of a folder in the cache; undefined for data sets and whatever else is there. */
export function repoOfFolder(name: string): string | undefined {
  const parts = name.split('--');
  return name.startsWith(PREFIX) && (parts.length === 2 || parts.length === 3)
    ? parts.slice(1).join('/')
    : undefined;
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
