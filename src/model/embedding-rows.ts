import { CriaError } from '../base/errors.js';

interface Run {
  /** Id of the first row; the others follow downwards. */
  readonly first: number;
  readonly count: number;
  readonly rows: Float32Array;
}

const LOWEST_ID = -(2 ** 31);

/**
 * Embeddings that stand in a prompt where no token of the vocabulary does: the rows of pictures. Each row has a
 * negative id of its own, never given again, so that equal ids always mean equal input, as for tokens: whoever
 * compares prompts to reuse a cache needs to know nothing of pictures. Rows used longest ago are forgotten first.
 */
export class EmbeddingRows {
  readonly #width: number;
  readonly #capacity: number;
  /** Least recently used first. */
  readonly #runs = new Map<number, Run>();
  #held = 0;
  #next = -1;

  /** @param capacity rows to hold; a run larger than that is held alone */
  constructor(width: number, capacity: number) {
    this.#width = width;
    this.#capacity = capacity;
  }

  /** Takes rows [count][width] and returns their ids. Throws `bad-embeddings` (internal), `too-many-pictures`. */
  add(rows: Float32Array): number[] {
    const count = rows.length / this.#width;
    if (!Number.isInteger(count) || count === 0) {
      const message = `expected rows of ${this.#width} floats, found ${rows.length}`;
      throw new CriaError('internal', 'bad-embeddings', message);
    }
    if (this.#next - count < LOWEST_ID) {
      const message = 'this model has seen as many pictures as it has ids for: load it again';
      throw new CriaError('resources', 'too-many-pictures', message);
    }
    for (const run of this.#runs.values()) {
      if (this.#held + count <= this.#capacity) break;
      this.#runs.delete(run.first);
      this.#held -= run.count;
    }
    const first = this.#next;
    this.#runs.set(first, { first, count, rows });
    this.#held += count;
    this.#next -= count;
    return Array.from({ length: count }, (_, i) => first - i);
  }

  /** Whether the row of a negative id is held. */
  has(id: number): boolean {
    return this.#find(id) !== undefined;
  }

  /** The row of a negative id; its run counts as just used. Throws `unknown-picture` when it is not held. */
  row(id: number): Float32Array {
    const run = this.#find(id);
    if (!run) {
      const message = 'the prompt has a picture that is no longer held: encode it again';
      throw new CriaError('usage', 'unknown-picture', message);
    }
    this.#runs.delete(run.first);
    this.#runs.set(run.first, run);
    const start = (run.first - id) * this.#width;
    return run.rows.subarray(start, start + this.#width);
  }

  #find(id: number): Run | undefined {
    for (const run of this.#runs.values()) if (id <= run.first && id > run.first - run.count) return run;
    return undefined;
  }
}
