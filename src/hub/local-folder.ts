import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { fileError } from '../base/file-errors.js';
import type { ContentId } from './content-hash.js';
import type { PartialFilePaths } from './partial-file.js';
import { checkRepoPath } from './repo-paths.js';

const METADATA = ['.cache', 'huggingface', 'download'];

/**
 * A folder with a repository's files under their own names, as `hf download --local-dir` makes it:
 * `.cache/huggingface/download/PATH.metadata` says of each file, in three lines, its commit, its hash and when.
 */
export class LocalFolder {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  filePath(path: string): string {
    checkRepoPath(path);
    return join(this.folder, ...path.split('/'));
  }

  paths(path: string, { hex }: ContentId): PartialFilePaths {
    // Named after both, as files of one folder can have the same content.
    const name = createHash('sha256').update(path).digest('hex').slice(0, 12);
    const beside = join(this.folder, ...METADATA, `${name}.${hex}.cria`);
    return {
      partial: `${beside}.incomplete`,
      journal: `${beside}-ranges.incomplete`,
      final: this.filePath(path),
    };
  }

  /** True when the file is there in full and has not been written to since it was fetched. */
  async has(path: string, size: number, { hex }: ContentId): Promise<boolean> {
    const [found, metadata] = await Promise.all([
      stat(this.filePath(path)).catch(() => undefined),
      readFile(`${this.#metadataPath(path)}.metadata`, 'utf8').catch(() => ''),
    ]);
    const [, etag, time] = metadata.split('\n');
    if (!found?.isFile() || found.size !== size || etag !== hex) return false;
    // A second of slack for file systems that round times; huggingface_hub allows it too.
    return found.mtimeMs / 1000 - 1 <= Number(time);
  }

  async recordFetched(path: string, commit: string, { hex }: ContentId): Promise<void> {
    const metadata = `${this.#metadataPath(path)}.metadata`;
    try {
      await mkdir(dirname(metadata), { recursive: true });
    } catch (error) {
      throw fileError(error, 'write', metadata);
    }
    await writeFileAtomic(metadata, `${commit}\n${hex}\n${Date.now() / 1000}\n`);
  }

  #metadataPath(path: string): string {
    checkRepoPath(path);
    return join(this.folder, ...METADATA, ...path.split('/'));
  }
}
