import { fstatSync, readSync } from 'node:fs';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import type { Address } from './arena-plan.js';

/** A file that slots are read from, open in this process for as long as it is used. */
export interface SlotFile {
  readonly path: string;
  readonly fd: number;
  /** Bytes and time of the last change (ns) when it was opened. */
  readonly size: bigint;
  readonly modified: bigint;
}

/** A run of bytes of every item of a group: item i's are at `offset` + i × `bytes` of the file, and at `at` in a slot. */
export interface SlotPart {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly at: number;
}

/** Items made of the same parts, and the slots that take them. */
export interface SlotGroup {
  readonly firstSlot: number;
  readonly slots: number;
  readonly parts: readonly SlotPart[];
}

/** Structured-cloneable; every thread builds its `SlotLoader` from it. */
export interface SlotLoaderSetup {
  readonly slots: readonly Address[];
  readonly groups: readonly SlotGroup[];
  readonly files: readonly SlotFile[];
  /** From `createSlotWords`. */
  readonly words: SharedArrayBuffer;
}

interface Chunk {
  readonly file: number;
  /** Of item 0, and from one item to the next. */
  readonly offset: number;
  readonly stride: number;
  readonly at: number;
  readonly bytes: number;
}

/** What one thread reads at a time: long enough for a disk, short enough that many threads share an item. */
const CHUNK_BYTES = 2 * 2 ** 20;

// Shared words: 64-bit counters, then 32-bit ones, then four words a slot, then the slots to read, most urgent first.
const COUNTER_BYTES = 64;
const BYTES_READ = 0;
const WAITED_NS = 1;
const SIGNAL = 0;
const STOPPED = 1;
const JOBS = 2;
const FIRST_SLOT = 16;
const SLOT_WORDS = 4;
/** Words of a slot: the item it is for, the next chunk to take, chunks done, and whether one of them failed. */
const ITEM = 0;
const NEXT = 1;
const DONE = 2;
const FAILED = 3;
/** Value of NEXT, far from both ends, that no chunk can be taken at. */
const CLOSED = 2 ** 30;

export function createSlotWords(slots: number): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(COUNTER_BYTES + (FIRST_SLOT + slots * (SLOT_WORDS + 1)) * 4);
  const words = new Int32Array(buffer, COUNTER_BYTES);
  for (let slot = 0; slot < slots; slot++) words[FIRST_SLOT + slot * SLOT_WORDS + NEXT] = CLOSED;
  return buffer;
}

/**
 * One thread's handle on slots of shared memory that are filled from files by whoever has time. One thread decides
 * (`assign`, `publish`); any thread takes chunks of what was assigned and reads them.
 */
export class SlotLoader {
  readonly #setup: SlotLoaderSetup;
  readonly #memories: readonly Uint8Array[];
  readonly #words: Int32Array;
  readonly #counters: BigInt64Array;
  /** By group. */
  readonly #chunks: readonly (readonly Chunk[])[];
  /** By slot. */
  readonly #groups: readonly number[];
  readonly #firstJob: number;

  constructor(setup: SlotLoaderSetup, memories: readonly Uint8Array[]) {
    this.#setup = setup;
    this.#memories = memories;
    this.#words = new Int32Array(setup.words, COUNTER_BYTES);
    this.#counters = new BigInt64Array(setup.words, 0, COUNTER_BYTES / 8);
    this.#chunks = setup.groups.map(({ parts }) => parts.flatMap(chunksOf));
    this.#groups = setup.groups.flatMap(({ slots }, index) => new Array<number>(slots).fill(index));
    this.#firstJob = FIRST_SLOT + setup.slots.length * SLOT_WORDS;
  }

  /** Since the start, by all threads. */
  get bytesRead(): number {
    return Number(Atomics.load(this.#counters, BYTES_READ));
  }

  /** Seconds that the deciding thread spent in `load`. */
  get secondsWaited(): number {
    return Number(Atomics.load(this.#counters, WAITED_NS)) / 1e9;
  }

  /** Gives a slot, which nobody may be using, to another item of its group; what is being read for it ends first. */
  assign(slot: number, item: number): void {
    const at = wordsOf(slot);
    const taken = Atomics.exchange(this.#words, at + NEXT, CLOSED);
    if (taken < CLOSED) {
      this.#waitForChunks(slot, Math.min(taken, this.#chunksOf(slot).length));
    }
    Atomics.store(this.#words, at + ITEM, item);
    Atomics.store(this.#words, at + DONE, 0);
    Atomics.store(this.#words, at + FAILED, 0);
    // Last, because from here on any thread may take chunks.
    Atomics.store(this.#words, at + NEXT, 0);
  }

  /** Replaces the list of slots that reading threads are to fill, most urgent first. */
  publish(slots: readonly number[]): void {
    const words = this.#words;
    Atomics.store(words, JOBS, 0);
    for (const [i, slot] of slots.entries()) Atomics.store(words, this.#firstJob + i, slot);
    Atomics.store(words, JOBS, slots.length);
    Atomics.add(words, SIGNAL, 1);
    Atomics.notify(words, SIGNAL);
  }

  /**
   * Returns when these slots hold the items they were assigned, helping to read them. `decides` marks the thread
   * whose waiting is counted. Throws `file-changed` (bad-file) and what `fileError` gives.
   */
  load(slots: readonly number[], decides: boolean): void {
    if (slots.every((slot) => this.#isWhole(slot))) return;
    const started = performance.now();
    for (const slot of slots) {
      while (this.#readNext(slot)) {}
    }
    for (const slot of slots) {
      this.#waitForChunks(slot, this.#chunksOf(slot).length);
      // A chunk that a reading thread could not read fails again here, where it can be reported.
      if (Atomics.load(this.#words, wordsOf(slot) + FAILED) !== 0) this.#readAgain(slot);
    }
    if (decides) {
      const waited = Math.round((performance.now() - started) * 1e6);
      Atomics.add(this.#counters, WAITED_NS, BigInt(waited));
    }
  }

  /** What a reading thread does: reads published slots, and sleeps when there are none, until `stop`. */
  serve(): void {
    const words = this.#words;
    while (Atomics.load(words, STOPPED) === 0) {
      const signal = Atomics.load(words, SIGNAL);
      if (!this.#readMostUrgent()) Atomics.wait(words, SIGNAL, signal);
    }
  }

  /** Ends every thread's `serve`. */
  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
    Atomics.add(this.#words, SIGNAL, 1);
    Atomics.notify(this.#words, SIGNAL);
  }

  #readMostUrgent(): boolean {
    const jobs = Atomics.load(this.#words, JOBS);
    for (let i = 0; i < jobs; i++) {
      try {
        if (this.#readNext(Atomics.load(this.#words, this.#firstJob + i))) return true;
      } catch {
        // It is marked as failed, which matters only if somebody needs it.
        return true;
      }
    }
    return false;
  }

  /** Takes a chunk of a slot and reads it; false when none is left. */
  #readNext(slot: number): boolean {
    const at = wordsOf(slot);
    const chunks = this.#chunksOf(slot);
    if (Atomics.load(this.#words, at + NEXT) >= chunks.length) return false;
    const index = Atomics.add(this.#words, at + NEXT, 1);
    if (index >= chunks.length) return false;
    // The slot keeps its item while a chunk that was taken is not done.
    try {
      this.#read(chunks[index]!, slot);
    } catch (error) {
      Atomics.store(this.#words, at + FAILED, 1);
      throw error;
    } finally {
      Atomics.add(this.#words, at + DONE, 1);
      Atomics.notify(this.#words, at + DONE);
    }
    return true;
  }

  #readAgain(slot: number): void {
    for (const chunk of this.#chunksOf(slot)) this.#read(chunk, slot);
  }

  #read({ file: fileIndex, offset, stride, at, bytes }: Chunk, slot: number): void {
    const { arena, offset: base } = this.#setup.slots[slot]!;
    const file = this.#setup.files[fileIndex]!;
    const position = offset + stride * Atomics.load(this.#words, wordsOf(slot) + ITEM);
    const target = this.#memories[arena]!.subarray(base + at, base + at + bytes);
    try {
      for (let done = 0; done < bytes; ) {
        const count = readSync(file.fd, target, done, bytes - done, position + done);
        if (count === 0) break;
        done += count;
      }
      checkUnchanged(file);
    } catch (error) {
      throw fileError(error, 'read', file.path);
    }
    Atomics.add(this.#counters, BYTES_READ, BigInt(bytes));
  }

  #waitForChunks(slot: number, count: number): void {
    const at = wordsOf(slot) + DONE;
    for (;;) {
      const done = Atomics.load(this.#words, at);
      if (done >= count) return;
      Atomics.wait(this.#words, at, done);
    }
  }

  #isWhole(slot: number): boolean {
    const at = wordsOf(slot);
    const whole = Atomics.load(this.#words, at + DONE) === this.#chunksOf(slot).length;
    return whole && Atomics.load(this.#words, at + FAILED) === 0;
  }

  #chunksOf(slot: number): readonly Chunk[] {
    return this.#chunks[this.#groups[slot]!]!;
  }
}

function wordsOf(slot: number): number {
  return FIRST_SLOT + slot * SLOT_WORDS;
}

/**
 * From the last to the first: reading forwards, the system would guess that what follows the item is wanted as well,
 * and have the disk read almost twice as much.
 */
function chunksOf({ file, offset, bytes, at }: SlotPart): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = 0; start < bytes; start += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, bytes - start);
    chunks.push({ file, offset: offset + start, stride: bytes, at: at + start, bytes: length });
  }
  return chunks.reverse();
}

/** Looked at after reading, so that bytes of a file that was being changed are not used. */
function checkUnchanged({ path, fd, size, modified }: SlotFile): void {
  const now = fstatSync(fd, { bigint: true });
  if (now.size === size && now.mtimeNs === modified) return;
  throw new CriaError(
    'bad-file',
    'file-changed',
    `'${path}' was changed while the model was in use: expected ${size} bytes as they were when it was loaded, ` +
      `found ${now.size} bytes changed at ${now.mtime.toISOString()}`,
  );
}
