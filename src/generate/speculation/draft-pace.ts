const LONGEST_PAUSE = 16;

/**
 * How many tokens to guess at once, from how many of the last were right: checking tokens that are wrong costs nearly
 * as much as making as many. Longer drafts while all of them is right, shorter ones and pauses when it is not. Looks
 * at the past only, so the text's distribution stays what it is.
 */
export class DraftPace {
  readonly #max: number;
  #length: number;
  #pause = 0;
  #waited = 0;

  constructor(max: number) {
    this.#max = max;
    this.#length = max;
  }

  /** Most tokens of the next draft; 0 for none. Counts as a step. */
  next(): number {
    return this.#waited++ < this.#pause ? 0 : this.#length;
  }

  record(drafted: number, accepted: number): void {
    if (drafted === 0) return;
    this.#waited = 0;
    this.#pause = accepted > 0 ? 0 : Math.min(LONGEST_PAUSE, 2 * this.#pause + 1);
    if (accepted === drafted) this.#length = Math.min(this.#max, 2 * Math.max(this.#length, drafted));
    else this.#length = Math.max(Math.min(this.#max, 2), accepted + 1);
  }
}
