import type { Lane } from '../../engine/lane.js';

/** What training needs of a lane; planning has one that has no share of anything. */
export type TrainingLane = Pick<Lane, 'rank' | 'size' | 'arenas' | 'home' | 'barrier' | 'share'>;

/** As partition: written, or to be read, by lanes whatever their share of its rows. */
export const MIXED = -1;

/**
 * Memory that lanes write and read. Lanes own the rows of their share of `partition` rows: those of a region written
 * and read under the same partition need no barrier between.
 */
interface Region {
  readonly address: number;
  partition: number;
  /** Barriers before it was last written. */
  epoch: number;
}

export interface Gradient extends Region {
  /** It is another value's, too: it must not be added to in place. */
  readonly shared: boolean;
}

/** Floats [rows][columns] that an operation has made; never made again. */
export interface Value extends Region {
  readonly rows: number;
  readonly columns: number;
  /** Something trained had a part in it, so that its gradient is wanted. */
  readonly needs: boolean;
  gradient?: Gradient | undefined;
}

/** Where to write a contribution to a gradient. */
export interface Contribution {
  readonly address: number;
  readonly accumulate: boolean;
}

/**
 * Operations in the order they ran, as closures that take gradients back, and the memory their values are in: a stack.
 * Every lane has the same tape, and all make the same calls.
 */
export class Tape {
  readonly lane: TrainingLane;
  /** Most bytes that the stack has held. */
  highest = 0;
  recording = true;
  readonly #start: number;
  readonly #end: number;
  #top: number;
  #epoch = 0;
  #entries: (() => void)[] = [];
  #deferred: (() => void)[] = [];

  constructor(lane: TrainingLane, start: number, bytes: number) {
    this.lane = lane;
    this.#start = start;
    this.#end = start + bytes;
    this.#top = start;
  }

  /** Forgets everything. */
  reset(): void {
    this.#top = this.#start;
    this.#entries = [];
    this.#deferred = [];
  }

  allocate(bytes: number): number {
    const address = this.#top;
    this.#top = address + Math.ceil(bytes / 64) * 64;
    if (this.#top > this.#end) throw new Error('the room for activations was planned too small');
    this.highest = Math.max(this.highest, this.#top - this.#start);
    return address;
  }

  mark(): number {
    return this.#top;
  }

  /** Frees what was allocated since `mark`, once no lane reads it any more. */
  release(mark: number): void {
    this.barrier();
    this.#top = mark;
  }

  barrier(): void {
    this.lane.barrier();
    this.#epoch++;
  }

  /** A new value, to be written by the owners of its rows. */
  value(rows: number, columns: number, needs: boolean, address?: number): Value {
    const at = address ?? this.allocate(rows * columns * 4);
    return { address: at, partition: rows, epoch: this.#epoch, rows, columns, needs };
  }

  /** To be called before a region is read under a partition. */
  reads(region: Region, partition = MIXED): void {
    if (region.epoch === this.#epoch && (partition === MIXED || region.partition !== partition))
      this.barrier();
  }

  /** To be called after a region was written in place, or by lanes that own something else than its rows. */
  wrote(region: Region, partition: number): void {
    region.partition = partition;
    region.epoch = this.#epoch;
  }

  /** What is to happen on the way back. */
  record(entry: () => void): void {
    if (this.recording) this.#entries.push(entry);
  }

  /** Entries so far. */
  get length(): number {
    return this.#entries.length;
  }

  forget(length: number): void {
    this.#entries.length = length;
  }

  /** Goes back to when the tape had `length` entries. */
  playBack(length: number): void {
    while (this.#entries.length > length) this.#entries.pop()!();
  }

  /** Work on gradients of weights, which reads values and final gradients of all rows. */
  defer(task: () => void): void {
    this.#deferred.push(task);
  }

  runDeferred(): void {
    if (this.#deferred.length === 0) return;
    this.barrier();
    for (const task of this.#deferred) task();
    this.#deferred = [];
  }

  /** Where the owners of a value's rows write a contribution to its gradient. */
  contribution(value: Value): Contribution {
    const before = value.gradient;
    if (before && !before.shared) {
      this.reads(before, value.rows);
      this.wrote(before, value.rows);
      return { address: before.address, accumulate: true };
    }
    const bytes = value.rows * value.columns * 4;
    const address = this.allocate(bytes);
    if (before) {
      this.reads(before, value.rows);
      this.copyOwn(before.address, address, value);
    }
    value.gradient = { address, partition: value.rows, epoch: this.#epoch, shared: false };
    return { address, accumulate: before !== undefined };
  }

  /** As `contribution`, of zeros if there was none. */
  zeroedContribution(value: Value): number {
    const { address, accumulate } = this.contribution(value);
    if (!accumulate) this.zeroOwn(address, value);
    return address;
  }

  /** The gradient of `value` is (in part) the very one that another value has. */
  share(value: Value, gradient: Gradient): void {
    if (!value.needs) return;
    if (value.gradient === undefined) {
      value.gradient = { ...gradient, shared: true };
      return;
    }
    const { address } = this.contribution(value);
    this.reads(gradient, value.rows);
    const [start, end] = this.lane.share(value.rows);
    if (end <= start) return;
    const at = start * value.columns * 4;
    this.lane.home.kernels.add(gradient.address + at, address + at, (end - start) * value.columns);
  }

  /** A region of this lane's making right now. */
  gradientAt(address: number, partition: number, shared: boolean): Gradient {
    return { address, partition, epoch: this.#epoch, shared };
  }

  /** Copies this lane's rows of `shape`. */
  copyOwn(from: number, to: number, { rows, columns }: Pick<Value, 'rows' | 'columns'>): void {
    const [start, end] = this.lane.share(rows);
    const rowBytes = columns * 4;
    if (end > start) {
      this.lane.home.u8.copyWithin(to + start * rowBytes, from + start * rowBytes, from + end * rowBytes);
    }
  }

  zeroOwn(address: number, { rows, columns }: Pick<Value, 'rows' | 'columns'>): void {
    const [start, end] = this.lane.share(rows);
    if (end > start) this.lane.home.u8.fill(0, address + start * columns * 4, address + end * columns * 4);
  }
}
