import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from './atomic-file.js';

/**
 * Remembers beside an unfinished output, as `OUT.partial.json`, how many of its pieces are on the disk, so that the
 * same work can go on after it was killed. It belongs to one fingerprint of all that decides the output's bytes.
 */
export class ResumeJournal {
  readonly #path: string;
  readonly #fingerprint: string;

  constructor(output: string, fingerprint: string) {
    this.#path = `${output}.partial.json`;
    this.#fingerprint = fingerprint;
  }

  /** Pieces, from the first, that need no second time: 0 where there is no journal, or one of other work. */
  async read(): Promise<number> {
    try {
      const { fingerprint, pieces } = JSON.parse(await readFile(this.#path, 'utf8'));
      return fingerprint === this.#fingerprint && Number.isSafeInteger(pieces) && pieces > 0 ? pieces : 0;
    } catch {
      return 0;
    }
  }

  /** Call it when the bytes of the first `pieces` pieces are on the disk. */
  async write(pieces: number): Promise<void> {
    await writeFileAtomic(this.#path, `${JSON.stringify({ fingerprint: this.#fingerprint, pieces })}\n`);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
