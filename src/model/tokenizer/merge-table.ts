import { badTokenizer, NORMAL, type Vocabulary } from './vocabulary.js';

/**
 * Byte-pair merges as a hash table from pairs of ids to ranks. Open addressing over typed arrays: Llama 4 has
 * hundreds of thousands of pairs, which a Map would hold as heap objects.
 */
export class MergeTable {
  /** Token that each rank makes. */
  readonly merged: Int32Array;
  readonly #slots: Int32Array;
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  readonly #mask: number;

  /** Throws `bad-file`: `tokenizer-bad-merge`, `tokenizer-unknown-merge`, `tokenizer-duplicate-merge`. */
  constructor({ merges, ids, kinds }: Vocabulary) {
    const count = merges.length;
    this.merged = new Int32Array(count);
    this.#lefts = new Int32Array(count);
    this.#rights = new Int32Array(count);
    const capacity = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#slots = new Int32Array(capacity).fill(-1);
    this.#mask = capacity - 1;

    const idOf = (text: string, rank: number): number => {
      const id = ids.get(text);
      if (id === undefined || kinds[id] !== NORMAL) {
        throw badTokenizer(
          'tokenizer-unknown-merge',
          `merge ${rank} names ${JSON.stringify(text.slice(0, 60))}, which is no token of the vocabulary`,
        );
      }
      return id;
    };
    for (let rank = 0; rank < count; rank++) {
      const merge = merges[rank]!;
      const space = merge.indexOf(' ');
      if (space <= 0 || space !== merge.lastIndexOf(' ') || space === merge.length - 1) {
        throw badTokenizer(
          'tokenizer-bad-merge',
          `expected two tokens in merge ${rank}, found ${JSON.stringify(merge.slice(0, 60))}`,
        );
      }
      const left = merge.slice(0, space);
      const right = merge.slice(space + 1);
      const leftId = idOf(left, rank);
      const rightId = idOf(right, rank);
      const slot = this.#find(leftId, rightId);
      if (this.#slots[slot] !== -1) {
        throw badTokenizer(
          'tokenizer-duplicate-merge',
          `merges ${this.#slots[slot]} and ${rank} name the same pair`,
        );
      }
      this.#slots[slot] = rank;
      this.#lefts[rank] = leftId;
      this.#rights[rank] = rightId;
      this.merged[rank] = idOf(left + right, rank);
    }
  }

  /** Rank of the pair, lower merges first; -1 when the two do not merge. */
  rank(left: number, right: number): number {
    return this.#slots[this.#find(left, right)]!;
  }

  /** Slot that holds the pair, or the free one where it would go. */
  #find(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.#mask;
    for (;;) {
      const rank = this.#slots[slot]!;
      if (rank === -1 || (this.#lefts[rank] === left && this.#rights[rank] === right)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}
