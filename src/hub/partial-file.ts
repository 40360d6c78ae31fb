import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AtomicFile } from '../base/atomic-file.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { RangeSet } from '../base/range-set.js';
import { quote } from '../base/text.js';
import type { ContentHasher, ContentId, FileHash } from './content-hash.js';
import { DownloadJournal } from './download-journal.js';

/** Where a file comes to lie while it is fetched and after that. */
export interface PartialFilePaths {
  /** The bytes so far. */
  readonly partial: string;
  /** Which bytes those are. */
  readonly journal: string;
  readonly final: string;
}

/** From a write to the journal that tells of it; a crash in between makes its bytes be fetched again. */
const JOURNAL_INTERVAL_MS = 1000;

/**
 * A file that is fetched in pieces, in any order, by one process after another. Two processes that fetch the same
 * file at once only do the work twice: they write the same bytes to the same places.
 */
export class PartialFile {
  readonly size: number;
  readonly #paths: PartialFilePaths;
  readonly #id: ContentId;
  readonly #file: AtomicFile;
  readonly #journal: DownloadJournal;
  readonly #hash: FileHash;
  #done: RangeSet;
  #hashed = 0;
  #timer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    paths: PartialFilePaths,
    size: number,
    id: ContentId,
    file: AtomicFile,
    journal: DownloadJournal,
    done: RangeSet,
    hasher: ContentHasher,
  ) {
    this.size = size;
    this.#paths = paths;
    this.#id = id;
    this.#file = file;
    this.#journal = journal;
    this.#done = done;
    this.#hash = hasher.start(paths.partial, size, id.kind);
    this.#advanceHash();
  }

  /** Goes on with what an earlier attempt left. Errors are those of `fileError`. */
  static async open(
    paths: PartialFilePaths,
    size: number,
    id: ContentId,
    hasher: ContentHasher,
  ): Promise<PartialFile> {
    for (const folder of new Set([dirname(paths.partial), dirname(paths.final)])) {
      await mkdir(folder, { recursive: true }).catch((error) => {
        throw fileError(error, 'create', folder);
      });
    }
    const journal = new DownloadJournal(paths.journal, size, id);
    const existing = await AtomicFile.reopen(paths.final, paths.partial);
    const file = existing ?? (await AtomicFile.create(paths.final, paths.partial));
    if (existing === undefined || (await existing.size()) !== size) {
      // Bytes that a journal claims cannot be in a file of another length.
      await journal.remove();
      await file.setSize(size);
    }
    return new PartialFile(paths, size, id, file, journal, await journal.read(), hasher);
  }

  /** Bytes that are there. */
  get doneBytes(): number {
    return this.#done.size;
  }

  /** Bytes that are there from the beginning on, without a gap. */
  get prefix(): number {
    return this.#done.prefix;
  }

  missing(): ReturnType<RangeSet['missing']> {
    return this.#done.missing(this.size);
  }

  /** Writes buffers that follow one another to a place where nothing has been written before. */
  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    await this.#file.writeAll(offset, buffers);
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    this.#done.add(offset, offset + length);
    this.#advanceHash();
    this.#timer ??= setTimeout(() => this.#saveNow(), JOURNAL_INTERVAL_MS);
  }

  /**
   * When every byte is there: checks the content, flushes it and gives the file its name.
   * Throws `hub-wrong-content` (bad-file) after removing what was fetched.
   */
  async commit(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#saving;
    // An empty file has no write that would have started the hash.
    if (this.size === 0) this.#hash.reached(0);
    const hex = await this.#hash.result;
    if (hex !== this.#id.hex) {
      await this.#file.discard();
      await this.#journal.remove();
      throw new CriaError(
        'bad-file',
        'hub-wrong-content',
        `${quote(this.#paths.final, 200)} arrived damaged: expected ${this.#id.kind} ${this.#id.hex}, found ${hex}; ` +
          'it was removed, and the same command fetches it again',
      );
    }
    await this.#file.commit().catch(async (error) => {
      // Another process was faster, with the same bytes.
      const there = await stat(this.#paths.final).catch(() => undefined);
      if (there?.size !== this.size) throw error;
    });
    await this.#journal.remove();
  }

  /** Leaves everything for a later attempt. Never throws: another error is on its way. */
  async suspend(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#saving;
    await this.#save().catch(() => {});
    await this.#file.suspend();
  }

  /** Forgets all but the unbroken beginning. */
  keepPrefix(): void {
    const { prefix } = this.#done;
    this.#done = new RangeSet(prefix === 0 ? [] : [{ start: 0, end: prefix }]);
  }

  #advanceHash(): void {
    const { prefix } = this.#done;
    if (prefix === this.#hashed) return;
    this.#hashed = prefix;
    this.#hash.reached(prefix);
  }

  /** A save that fails leaves the older journal, and the next write, or the commit, to fail by itself. */
  #saveNow(): void {
    this.#saving = this.#save()
      .catch(() => {})
      .finally(() => {
        this.#timer = undefined;
      });
  }

  async #save(): Promise<void> {
    const done = new RangeSet(this.#done.ranges);
    await this.#file.sync();
    await this.#journal.write(done);
  }
}
