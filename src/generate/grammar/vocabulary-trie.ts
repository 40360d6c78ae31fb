import type { MatchState } from './match-state.js';

/**
 * A vocabulary as a tree of bytes, in the order of a walk through it, so that what cannot come is left out with all
 * that begins with it.
 */
export class VocabularyTrie {
  /** Tokens that stand for no text. */
  readonly textless: readonly number[];
  readonly #tokenCount: number;
  /** Per node of the tree: its byte, its depth from 0, where the walk goes on after all below it. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #ends: Int32Array;
  /** Which of `#ids` are the tokens that end at a node. */
  readonly #firstIds: Int32Array;
  readonly #lastIds: Int32Array;
  /** Token ids in the order of their bytes. */
  readonly #ids: Int32Array;

  /** @param bytesOf bytes of a token; undefined for those that stand for no text */
  constructor(tokenCount: number, bytesOf: (id: number) => Uint8Array | undefined) {
    // One character a byte: such strings compare as their bytes do, and faster.
    const spellings = Array.from({ length: tokenCount }, (_, id) => {
      const bytes = bytesOf(id);
      return bytes && Buffer.from(bytes).toString('latin1');
    });
    this.#tokenCount = tokenCount;
    this.textless = [...spellings.keys()].filter((id) => spellings[id] === undefined);
    const ids = [...spellings.keys()].filter((id) => spellings[id]);
    ids.sort((a, b) => (spellings[a]! < spellings[b]! ? -1 : spellings[a]! > spellings[b]! ? 1 : a - b));
    this.#ids = Int32Array.from(ids);

    const bytes: number[] = [];
    const depths: number[] = [];
    const ends: number[] = [];
    const firstIds: number[] = [];
    const lastIds: number[] = [];
    const path: number[] = [];
    let previous = '';
    for (const [order, id] of ids.entries()) {
      const spelling = spellings[id]!;
      let common = 0;
      while (common < previous.length && previous[common] === spelling[common]) common++;
      while (path.length > common) ends[path.pop()!] = bytes.length;
      for (let depth = common; depth < spelling.length; depth++) {
        path.push(bytes.length);
        bytes.push(spelling.charCodeAt(depth));
        depths.push(depth);
        firstIds.push(order);
        lastIds.push(order);
      }
      lastIds[path.at(-1)!] = order + 1;
      previous = spelling;
    }
    while (path.length > 0) ends[path.pop()!] = bytes.length;
    this.#bytes = Uint8Array.from(bytes);
    this.#depths = Uint16Array.from(depths);
    this.#ends = Int32Array.from(ends);
    this.#firstIds = Int32Array.from(firstIds);
    this.#lastIds = Int32Array.from(lastIds);
  }

  /** A bit per token id, set for those whose text may follow `state`. */
  allowed(state: MatchState): Uint32Array {
    const mask = new Uint32Array(Math.ceil(this.#tokenCount / 32));
    const path: MatchState[] = [state];
    const bytes = this.#bytes;
    const ids = this.#ids;
    for (let node = 0; node < bytes.length; ) {
      const depth = this.#depths[node]!;
      const next = path[depth]!.step(bytes[node]!);
      if (next === undefined) {
        node = this.#ends[node]!;
        continue;
      }
      path[depth + 1] = next;
      const last = this.#lastIds[node]!;
      for (let i = this.#firstIds[node]!; i < last; i++) mask[ids[i]! >> 5]! |= 1 << (ids[i]! & 31);
      node++;
    }
    return mask;
  }
}
