import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { RangeSet } from '../base/range-set.js';
import type { ContentId } from './content-hash.js';

/** Enough for a file of a terabyte in which every second piece is missing. */
const MAX_JOURNAL_BYTES = 1 << 20;

/**
 * Beside a partial file, which of its bytes are there: `{"size": …, "id": HEX, "ranges": [[start, end], …]}`. It is
 * written after the bytes are on the disk, so that after any interruption it claims too little, never too much.
 */
export class DownloadJournal {
  readonly path: string;
  readonly #size: number;
  readonly #id: ContentId;

  constructor(path: string, size: number, id: ContentId) {
    this.path = path;
    this.#size = size;
    this.#id = id;
  }

  /** Nothing when there is no journal, or one that is damaged or of another file. */
  async read(): Promise<RangeSet> {
    const text = await readFile(this.path, 'utf8').catch(() => '');
    return (text.length <= MAX_JOURNAL_BYTES && this.#parse(text)) || new RangeSet();
  }

  async write(done: RangeSet): Promise<void> {
    const ranges = done.ranges.map(({ start, end }) => [start, end]);
    const text = JSON.stringify({ size: this.#size, id: this.#id.hex, ranges });
    // Not flushed: an older journal, or none, costs only time.
    await writeFile(`${this.path}.new`, text);
    await rename(`${this.path}.new`, this.path);
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }

  #parse(text: string): RangeSet | undefined {
    let content: { size?: unknown; id?: unknown; ranges?: unknown } | null;
    try {
      content = JSON.parse(text);
    } catch {
      return undefined;
    }
    if (content?.size !== this.#size || content.id !== this.#id.hex || !Array.isArray(content.ranges)) {
      return undefined;
    }
    const done = new RangeSet();
    for (const range of content.ranges) {
      const [start, end] = Array.isArray(range) ? range : [];
      const valid = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end;
      if (!valid || end > this.#size || !done.add(start, end)) return undefined;
    }
    return done;
  }
}
