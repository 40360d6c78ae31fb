/** One sequence to learn from. */
export interface Sequence {
  /** [n]; negative: row `−1 − id` of the example's picture rows. */
  readonly ids: Int32Array;
  /** [n] 1 for tokens that are to be predicted; the first never is. */
  readonly learnt: Uint8Array;
}

/** Collects the tokens of a sequence, stretch by stretch. */
export class SequenceBuilder {
  readonly #ids: number[] = [];
  readonly #learnt: number[] = [];

  get length(): number {
    return this.#ids.length;
  }

  push(id: number, learnt: boolean): void {
    this.#learnt.push(learnt && this.#ids.length > 0 ? 1 : 0);
    this.#ids.push(id);
  }

  pushAll(ids: readonly number[], learnt: boolean): void {
    for (const id of ids) this.push(id, learnt);
  }

  build(): Sequence {
    return { ids: Int32Array.from(this.#ids), learnt: Uint8Array.from(this.#learnt) };
  }
}

/** Tokens that are to be predicted. */
export function learntTokens({ learnt }: Sequence): number {
  let count = 0;
  for (const flag of learnt) count += flag;
  return count;
}

/** The first `length` tokens. */
export function shortened({ ids, learnt }: Sequence, length: number): Sequence {
  return { ids: ids.slice(0, length), learnt: learnt.slice(0, length) };
}

/** Without the tokens behind the last one that is to be predicted: nothing depends on them. */
export function withoutTail(sequence: Sequence): Sequence {
  return shortened(sequence, sequence.learnt.lastIndexOf(1) + 1);
}
