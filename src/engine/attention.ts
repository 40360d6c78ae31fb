import type { Address } from './arena-plan.js';
import { type Buffer, copyRows, outputRegion, type Staging } from './buffers.js';
import type { Lane } from './lane.js';

/** Keys and values of one layer. */
export interface LayerCache {
  /** Element type as the kernels take it: 0 f32, 1 f16. */
  readonly typeId: 0 | 1;
  readonly rowBytes: number;
  /** Positions it holds. */
  readonly capacity: number;
  /** Per key/value head: keys `[capacity][dim]`, then values `[capacity][dim]`, in one arena. */
  readonly heads: readonly Address[];
}

/** Queries that share one pass over the keys. */
export const ATTENTION_TOKENS = 16;

/** Attention over cached keys and values; see `Operations` for what every operation expects and leaves. */
export class Attention {
  readonly lane: Lane;
  readonly #staging: Staging;

  constructor(lane: Lane, staging: Staging) {
    this.lane = lane;
    this.#staging = staging;
  }

  /** Writes keys and values of `tokens` tokens at cache positions `position`… Ends without a barrier. */
  store(cache: LayerCache, k: Buffer, v: Buffer, token: number, position: number): void {
    const dim = k.columns / cache.heads.length;
    for (const [head, address] of cache.heads.entries()) {
      const from = (token * k.columns + head * dim) * 4;
      this.#storeRow(cache, address, k.offset + from, position, dim);
      this.#storeRow(cache, address, v.offset + from, cache.capacity + position, dim);
    }
  }

  /** Causal attention: query t of `tokens` sees cache positions 0 … past + t. */
  attend(cache: LayerCache, q: Buffer, out: Buffer, tokens: number, past: number): void {
    const kvHeads = cache.heads.length;
    const width = q.columns / kvHeads;
    const dim = cache.rowBytes / (cache.typeId === 0 ? 4 : 2);
    const blocks = Math.ceil(tokens / ATTENTION_TOKENS);
    const stride = q.columns * 4;
    for (let unit = this.lane.rank; unit < kvHeads * blocks; unit += this.lane.size) {
      const head = unit % kvHeads;
      const first = Math.floor(unit / kvHeads) * ATTENTION_TOKENS;
      const count = Math.min(ATTENTION_TOKENS, tokens - first);
      const keys = cache.heads[head]!;
      const arena = this.lane.arenas[keys.arena]!;
      const at = (first * q.columns + head * width) * 4;
      const away = keys.arena !== 0;
      const bytes = width * 4;
      const source = (away ? this.#staging.x : q.offset) + at;
      const target = away ? outputRegion(this.#staging, this.lane.rank) : out.offset + at;
      const targetStride = away ? bytes : stride;
      if (away) copyRows(this.lane.home, q.offset + at, stride, arena, source, stride, count, bytes);
      const { attend } = arena.kernels;
      attend(
        cache.typeId,
        source,
        stride,
        width / dim,
        count,
        dim,
        keys.offset,
        keys.offset + cache.capacity * cache.rowBytes,
        past + first,
        target,
        targetStride,
        arena.scratch,
      );
      if (away) copyRows(arena, target, bytes, this.lane.home, out.offset + at, stride, count, bytes);
    }
    this.lane.barrier();
  }

  #storeRow(cache: LayerCache, address: Address, source: number, row: number, dim: number): void {
    const arena = this.lane.arenas[address.arena]!;
    let from = source;
    if (address.arena !== 0) {
      from = arena.scratch;
      arena.u8.set(this.lane.home.u8.subarray(source, source + dim * 4), from);
    }
    arena.kernels.storeCache(cache.typeId, from, address.offset + row * cache.rowBytes, dim);
  }
}
