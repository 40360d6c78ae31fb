import { CriaError } from '../base/errors.js';

/** A place in one of the engine's WebAssembly memories. */
export interface Address {
  readonly arena: number;
  /** Byte offset, below 2^32. */
  readonly offset: number;
}

export interface ArenaPlan {
  /** Size of each arena in bytes, a multiple of the WebAssembly page. */
  readonly arenaBytes: readonly number[];
  /** Where each block went, in the order given. */
  readonly blocks: readonly Address[];
  /** Where the home blocks went (all in arena 0), in the order given. */
  readonly home: readonly number[];
  /** Where each arena's common blocks are; the same offsets in every arena. */
  readonly common: readonly number[];
}

export interface ArenaRequest {
  /** Blocks every arena holds at the same offset: tables, scratch, staging. */
  readonly common: readonly number[];
  /** Blocks that must be in arena 0. */
  readonly home: readonly number[];
  /** Blocks that may be in any arena: weights, cache. */
  readonly blocks: readonly number[];
  /** Largest arena; less than the real limit only in tests. */
  readonly limit?: number;
}

export const PAGE_BYTES = 65_536;
/** 65,536 pages of 64 KiB is what a WebAssembly memory can address with 32 bits; its last 64 bytes stay unused. */
export const ARENA_LIMIT = PAGE_BYTES * 65_536;
/** Kernels load 16 bytes at a time; 64 keeps every block on its own cache lines. */
const ALIGNMENT = 64;
/** The first page stays free, so that address 0 means "none" and stray small addresses hit nothing. */
const FIRST_OFFSET = PAGE_BYTES;

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Lays blocks out over as few arenas as first-fit in the given order takes. Pure.
 * Throws `arena-block-too-large` when a block does not fit an empty arena.
 */
export function planArenas(request: ArenaRequest): ArenaPlan {
  // The last line stays free, so that the address after a block is always below 2^32: kernels compare with it.
  const limit = (request.limit ?? ARENA_LIMIT) - ALIGNMENT;
  let commonEnd = FIRST_OFFSET;
  const common = request.common.map((bytes) => {
    const offset = commonEnd;
    commonEnd += aligned(bytes);
    return offset;
  });

  const ends = [commonEnd];
  const place = (bytes: number, arena: number): Address => {
    const offset = ends[arena]!;
    ends[arena] = offset + aligned(bytes);
    return { arena, offset };
  };
  const refuse = (bytes: number, room: number): never => {
    throw new CriaError(
      'resources',
      'arena-block-too-large',
      `a block of ${bytes} bytes does not fit the ${Math.max(0, room)} bytes left in a WebAssembly memory of ${limit}`,
    );
  };

  const home = request.home.map((bytes) => {
    if (ends[0]! + bytes > limit) refuse(bytes, limit - ends[0]!);
    return place(bytes, 0).offset;
  });
  const blocks = request.blocks.map((bytes) => {
    if (commonEnd + bytes > limit) refuse(bytes, limit - commonEnd);
    let arena = ends.findIndex((end) => end + bytes <= limit);
    if (arena < 0) arena = ends.push(commonEnd) - 1;
    return place(bytes, arena);
  });
  const arenaBytes = ends.map((end) => Math.ceil(end / PAGE_BYTES) * PAGE_BYTES);
  return { arenaBytes, blocks, home, common };
}
