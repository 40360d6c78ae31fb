import type { MergeTable } from './merge-table.js';

const POSITIONS = 2 ** 32;
const MAX_KEPT = 1 << 16;

/**
 * Merges the bytes of a piece into tokens: the lowest-ranked adjacent pair first, the leftmost of equals, until none
 * merges. A queue of candidate pairs makes it O(n log n), so that one enormous word does not stall a server.
 * Buffers are kept between calls, unless a piece made them very long.
 */
export class BytePairMerger {
  readonly #table: MergeTable;
  readonly #byteIds: Int32Array;
  #capacity = 0;
  #ids!: Int32Array;
  #previous!: Int32Array;
  #next!: Int32Array;
  /** Rank of the pair that begins at each symbol, -1 for none; a queued candidate that disagrees is stale. */
  #ranks!: Int32Array;
  /** Binary heap of `rank * 2^32 + position`, exact in a double as ranks have 21 bits. */
  #heap!: Float64Array;
  #heapSize = 0;

  /** `byteIds`: the token of each byte, `[256]`. */
  constructor(table: MergeTable, byteIds: Int32Array) {
    this.#table = table;
    this.#byteIds = byteIds;
    this.#allocate(256);
  }

  /** Appends the tokens of the first `length` bytes to `out`. */
  merge(bytes: Uint8Array, length: number, out: number[]): void {
    if (length === 0) return;
    this.#reserve(length);
    for (let i = 0; i < length; i++) {
      this.#ids[i] = this.#byteIds[bytes[i]!]!;
      this.#previous[i] = i - 1;
      this.#next[i] = i + 1 < length ? i + 1 : -1;
    }
    for (let i = 0; i < length; i++) this.#considerPair(i);
    while (this.#heapSize > 0) {
      const top = this.#pop();
      const rank = Math.floor(top / POSITIONS);
      const at = top % POSITIONS;
      if (this.#ranks[at] === rank) this.#mergeAt(at, rank);
    }
    for (let at = 0; at !== -1; at = this.#next[at]!) out.push(this.#ids[at]!);
    if (this.#capacity > MAX_KEPT) this.#allocate(256);
  }

  #mergeAt(at: number, rank: number): void {
    const removed = this.#next[at]!;
    const after = this.#next[removed]!;
    this.#ids[at] = this.#table.merged[rank]!;
    this.#ranks[removed] = -1;
    this.#next[at] = after;
    if (after !== -1) this.#previous[after] = at;
    this.#considerPair(at);
    const before = this.#previous[at]!;
    if (before !== -1) this.#considerPair(before);
  }

  #considerPair(at: number): void {
    const next = this.#next[at]!;
    const rank = next === -1 ? -1 : this.#table.rank(this.#ids[at]!, this.#ids[next]!);
    this.#ranks[at] = rank;
    if (rank !== -1) this.#push(rank * POSITIONS + at);
  }

  #reserve(length: number): void {
    if (length > this.#capacity) this.#allocate(Math.max(length, 2 * this.#capacity));
  }

  #allocate(capacity: number): void {
    this.#capacity = capacity;
    this.#ids = new Int32Array(capacity);
    this.#previous = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#ranks = new Int32Array(capacity);
    // One candidate per initial pair and two per merge, of which there are fewer than symbols.
    this.#heap = new Float64Array(3 * capacity);
  }

  #push(key: number): void {
    const heap = this.#heap;
    let at = this.#heapSize++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= key) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = key;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0]!;
    const size = --this.#heapSize;
    const key = heap[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= key) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = key;
    return top;
  }
}
