import { CriaError } from '../base/errors.js';
import { type ImatrixEntry, importanceOf } from '../formats/imatrix/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { EncodePool } from './encode-pool.js';
import { type Piece, sourceBytes, targetBytes } from './pieces.js';

export interface RecodeOptions {
  /** Index of the first piece to do. */
  readonly first: number;
  readonly threads: number;
  /** By tensor; an entry has one matrix per expert. */
  readonly importance?: ReadonlyMap<string, ImatrixEntry>;
  readonly signal?: AbortSignal;
  /** Called as pieces are ready, in any order and several at once; the bytes are valid until it resolves. */
  readonly write: (piece: Piece, target: Uint8Array) => Promise<void>;
  /** Called when all of the first `count` pieces are written; `count` rises, and calls do not overlap. */
  readonly onPieces: (count: number) => Promise<void>;
}

/** Memory of a piece on its way, shared with the threads. */
interface Slot {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
}

/** Pieces that may be read or written while every thread encodes one. */
const SPARE_SLOTS = 2;

/**
 * Reads pieces in order, recodes them in threads and hands them on. Rejects with the first failure, when nothing is
 * under way any more; `cancelled` when the signal is given.
 */
export async function recodePieces(
  source: TensorSource,
  pieces: readonly Piece[],
  options: RecodeOptions,
): Promise<void> {
  const { first, threads, importance, signal } = options;
  const slots = createSlots(pieces, threads + SPARE_SLOTS);
  const order = new CompletionOrder(first, options.onPieces);
  const pool = new EncodePool(threads);
  const underWay = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;

  const finish = async (index: number, slot: Slot) => {
    const piece = pieces[index]!;
    const target = slot.target.subarray(0, targetBytes(piece));
    const entry = importance?.get(piece.name);
    await pool.recode({
      piece,
      source: slot.source.subarray(0, sourceBytes(piece)),
      target,
      importance: entry && importanceOf(entry, piece.matrix),
    });
    await options.write(piece, target);
    await order.done(index);
  };
  try {
    for (let index = first; index < pieces.length; index++) {
      while (slots.length === 0) await Promise.race(underWay);
      if (failure) break;
      throwIfStopped(signal);
      const piece = pieces[index]!;
      const slot = slots.pop()!;
      await source.readRows(
        piece.name,
        piece.firstRow,
        piece.rows,
        slot.source.subarray(0, sourceBytes(piece)),
      );
      const work: Promise<void> = finish(index, slot)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          slots.push(slot);
          underWay.delete(work);
        });
      underWay.add(work);
    }
  } catch (error) {
    failure ??= { error };
  }
  await Promise.all(underWay);
  await pool.close();
  if (failure) throw failure.error;
}

function createSlots(pieces: readonly Piece[], count: number): Slot[] {
  const most = (bytes: (piece: Piece) => number) =>
    pieces.reduce((max, piece) => Math.max(max, bytes(piece)), 0);
  const source = most(sourceBytes);
  const target = most(targetBytes);
  return Array.from({ length: Math.min(count, pieces.length) }, () => ({
    source: new Uint8Array(new SharedArrayBuffer(source)),
    target: new Uint8Array(new SharedArrayBuffer(target)),
  }));
}

/** Turns completions in any order into reports of how many are complete from the start, one report at a time. */
class CompletionOrder {
  readonly #complete = new Set<number>();
  readonly #report: (count: number) => Promise<void>;
  #count: number;
  #reporting: Promise<void> = Promise.resolve();

  constructor(first: number, report: (count: number) => Promise<void>) {
    this.#count = first;
    this.#report = report;
  }

  /** Resolves when the report that includes this piece, if one is due, has been taken. */
  done(index: number): Promise<void> {
    this.#complete.add(index);
    const before = this.#count;
    while (this.#complete.delete(this.#count)) this.#count++;
    const count = this.#count;
    if (count === before) return Promise.resolve();
    this.#reporting = this.#reporting.then(() => this.#report(count));
    return this.#reporting;
  }
}

function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new CriaError('cancelled', 'cancelled', 'stopped; the same command goes on from here');
  }
}
