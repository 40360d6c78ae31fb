import type { Address } from './arena-plan.js';
import { type Buffer, copyRows, outputRegion, type Staging } from './buffers.js';
import type { Lane } from './lane.js';

/** Keys and values of one layer. */
export interface LayerCache {
  /** Element types as the kernels take them: ggml's numbers of F32, F16 and Q8_0. */
  readonly keyType: number;
  readonly valueType: number;
  /** Bytes of one head's keys, or values, at one position. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Elements of a head. */
  readonly headDim: number;
  /** Positions it holds of each sequence. */
  readonly capacity: number;
  /**
   * By sequence and key/value head: blocks of SEGMENT_POSITIONS positions (the last shorter), each all keys, then all
   * values, in one arena.
   */
  readonly heads: readonly (readonly (readonly Address[])[])[];
}

/** Consecutive tokens of one sequence within a step. */
export interface TokenRun {
  readonly sequence: number;
  /** Index of the first among the step's tokens, and how many. */
  readonly first: number;
  readonly count: number;
  /** Cache position of the first. */
  readonly past: number;
}

/** Queries that share one pass over the keys. */
export const ATTENTION_TOKENS = 16;
/**
 * Keys whose weighted sum is computed in one go; longer pasts are folded together in order, so that several lanes can
 * work on one query and results do not depend on how many do. A multiple of the kernel's block.
 */
const SPAN_POSITIONS = 512;
/** Small enough for any arena, and a multiple of a span. */
export const SEGMENT_POSITIONS = 131_072;

/** A pass may both take a partial result from the one before it and leave one to the next. */
const HANDED_ON = 2;

/** Bytes of the partial results of one call of the kernel. */
export function partialBytes(tokens: number, headsPerKv: number, headDim: number): number {
  return tokens * headsPerKv * (headDim + 4) * 4;
}

/** Room for partial results: as many as keep some lanes busy between two barriers, and those that passes hand on. */
export function partialRoom(headsPerKv: number, headDim: number): number {
  return (64 + HANDED_ON) * partialBytes(ATTENTION_TOKENS, headsPerKv, headDim);
}

/** Bytes of scratch a lane needs. */
export function attentionScratchBytes(headsPerKv: number, headDim: number): number {
  const rows = headsPerKv * ATTENTION_TOKENS;
  return 4 * (64 * headDim + rows * (headDim + 32) + 56);
}

/** Positions of segment `index`. */
export function segmentLength(capacity: number, index: number): number {
  return Math.min(SEGMENT_POSITIONS, capacity - index * SEGMENT_POSITIONS);
}

/** Queries of one key/value head that are computed together. */
interface Group extends TokenRun {
  readonly head: number;
  /** Spans of keys they see. */
  readonly spans: number;
  readonly bytes: number;
}

/** Spans `[from, to)` of a group, whose partial results lie at `slot`… until they are folded. */
interface Share {
  readonly group: Group;
  readonly from: number;
  readonly to: number;
  readonly slot: number;
  /** Where the result of the spans before `from` is, and where that of those before `to` is left. */
  readonly before: number;
  readonly after: number;
}

/** Attention over cached keys and values; see `Operations` for what every operation expects and leaves. */
export class Attention {
  readonly lane: Lane;
  readonly #staging: Staging;

  constructor(lane: Lane, staging: Staging) {
    this.lane = lane;
    this.#staging = staging;
  }

  /** Writes keys and values of a token at cache position `position`. Ends without a barrier. */
  store(cache: LayerCache, k: Buffer, v: Buffer, token: number, sequence: number, position: number): void {
    const { keyType, valueType, keyBytes, valueBytes, headDim: dim, capacity } = cache;
    const heads = cache.heads[sequence]!;
    const segment = Math.floor(position / SEGMENT_POSITIONS);
    const row = position % SEGMENT_POSITIONS;
    const values = segmentLength(capacity, segment) * keyBytes;
    for (const [head, segments] of heads.entries()) {
      const { arena, offset } = segments[segment]!;
      const from = (token * k.columns + head * dim) * 4;
      this.#storeRow(keyType, arena, k.offset + from, offset + row * keyBytes, dim);
      this.#storeRow(valueType, arena, v.offset + from, offset + values + row * valueBytes, dim);
    }
  }

  /** Causal attention: query t of a run sees cache positions 0 … past + t of its sequence. */
  attend(cache: LayerCache, q: Buffer, out: Buffer, runs: readonly TokenRun[]): void {
    const passes = this.#passes(cache, q, runs);
    for (const [index, pass] of passes.entries()) {
      let unit = 0;
      for (const share of pass) {
        for (let span = share.from; span < share.to; span++) {
          if (unit++ % this.lane.size !== this.lane.rank) continue;
          this.#attendSpan(cache, q, share, span);
          if (share.group.spans === 1) this.#finish(cache, q, out, share.group, share.slot);
        }
      }
      if (pass.some(({ group }) => group.spans > 1)) {
        this.lane.barrier();
        for (const [i, share] of pass.entries()) {
          if (share.group.spans > 1 && i % this.lane.size === this.lane.rank) {
            this.#fold(cache, q, out, share);
          }
        }
      }
      if (index < passes.length - 1) this.lane.barrier();
    }
    this.lane.barrier();
  }

  /** Cuts the work into passes whose partial results fit their room; the first places are for what passes hand on. */
  #passes(cache: LayerCache, q: Buffer, runs: readonly TokenRun[]): Share[][] {
    const kvHeads = cache.heads[0]!.length;
    const { partials, partialBytes: room } = this.#staging;
    const tokenBytes = partialBytes(1, headsPerKv(cache, q), cache.headDim);
    const largest = ATTENTION_TOKENS * tokenBytes;
    const first = partials + HANDED_ON * largest;
    const passes: Share[][] = [[]];
    let end = first;
    for (const { sequence, first: start, count: tokens, past } of runs) {
      for (let done = 0; done < tokens; done += ATTENTION_TOKENS) {
        const count = Math.min(ATTENTION_TOKENS, tokens - done);
        const spans = Math.ceil((past + done + count) / SPAN_POSITIONS);
        const bytes = count * tokenBytes;
        for (let head = 0; head < kvHeads; head++) {
          const group = { sequence, head, first: start + done, count, past: past + done, spans, bytes };
          for (let from = 0; from < spans; ) {
            const to = Math.min(spans, from + Math.floor((partials + room - end) / bytes));
            const before = partials + (passes.length % HANDED_ON) * largest;
            const after = partials + ((passes.length + 1) % HANDED_ON) * largest;
            if (to > from) passes.at(-1)!.push({ group, from, to, slot: end, before, after });
            end += (to - from) * bytes;
            from = to;
            if (from === spans) continue;
            passes.push([]);
            end = first;
          }
        }
      }
    }
    return passes;
  }

  #attendSpan(cache: LayerCache, q: Buffer, { group, from, slot }: Share, span: number): void {
    const { keyType, valueType, keyBytes, valueBytes, headDim, capacity } = cache;
    const { sequence, head, first, count, past, bytes } = group;
    const position = span * SPAN_POSITIONS;
    const segment = Math.floor(position / SEGMENT_POSITIONS);
    const row = position % SEGMENT_POSITIONS;
    const heads = cache.heads[sequence]!;
    const block = heads[head]![segment]!;
    const arena = this.lane.arenas[block.arena]!;
    const width = (q.columns / heads.length) * 4;
    const source = q.offset + first * q.columns * 4 + head * width;
    const away = block.arena !== 0;
    const queries = away ? outputRegion(this.#staging, this.lane.rank) : source;
    const stride = away ? width : q.columns * 4;
    if (away) copyRows(this.lane.home, source, q.columns * 4, arena, queries, width, count, width);
    const partial = slot + (span - from) * bytes;
    const { attendSpan } = arena.kernels;
    attendSpan(
      keyType,
      valueType,
      queries,
      stride,
      headsPerKv(cache, q),
      count,
      headDim,
      block.offset + row * keyBytes,
      keyBytes,
      block.offset + segmentLength(capacity, segment) * keyBytes + row * valueBytes,
      valueBytes,
      past - position,
      Math.min(SPAN_POSITIONS, past + count - position),
      partial,
      arena.scratch,
    );
    if (away) copyRows(arena, partial, bytes, this.lane.home, partial, bytes, 1, bytes);
  }

  /** Folds a share's spans; what is not a group's last share is left for the next pass. */
  #fold(cache: LayerCache, q: Buffer, out: Buffer, share: Share): void {
    const { group, from, to, slot, before, after } = share;
    const { kernels, scratch, u8 } = this.lane.home;
    const { bytes, count, spans } = group;
    const rows = count * headsPerKv(cache, q);
    const total = from > 0 ? before : slot;
    const rest = from > 0 ? slot : slot + bytes;
    const { foldSpans } = kernels;
    foldSpans(total, rest, bytes, from > 0 ? to - from : to - from - 1, rows, cache.headDim, scratch);
    if (to === spans) this.#finish(cache, q, out, group, total);
    else u8.copyWithin(after, total, total + bytes);
  }

  #finish(cache: LayerCache, q: Buffer, out: Buffer, group: Group, total: number): void {
    const { head, first, count } = group;
    const shared = headsPerKv(cache, q);
    const target = out.offset + (first * q.columns + head * shared * cache.headDim) * 4;
    const { finishAttention } = this.lane.home.kernels;
    finishAttention(total, shared, count, cache.headDim, target, q.columns * 4);
  }

  #storeRow(type: number, arenaIndex: number, source: number, target: number, dim: number): void {
    const arena = this.lane.arenas[arenaIndex]!;
    let from = source;
    if (arenaIndex !== 0) {
      from = arena.scratch;
      arena.u8.set(this.lane.home.u8.subarray(source, source + dim * 4), from);
    }
    arena.kernels.storeCache(type, from, target, dim);
  }
}

/** Query heads of `q` that share one key/value head. */
function headsPerKv(cache: LayerCache, q: Buffer): number {
  return q.columns / cache.headDim / cache.heads[0]!.length;
}
