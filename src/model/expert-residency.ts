/** An expert and the slot that holds it, or will once it is read. */
export interface SlotUse {
  readonly expert: number;
  readonly slot: number;
  /** In the slot since an earlier step, put there by a read-ahead, or to be read now. */
  readonly source: 'kept' | 'ahead' | 'read';
}

/** Experts of a round are computed together while those of the next are being read. */
const MAX_ROUND = 8;

/**
 * Which experts of one layer are in the layer's slots: the most recently used ones. A function of the calls alone,
 * so that every lane can work it out for itself and all agree.
 *
 * Each layer has slots of its own because a token visits the layers in turn: with one list for all of them, what is
 * needed soonest would always be the least recently used.
 */
export class ExpertResidency {
  /** Rounds whose experts are in slots at the same time: the one computed and the one being read. */
  readonly depth: number;
  readonly #roundSize: number;
  /** By slot; -1 while empty. */
  readonly #experts: Int32Array;
  /** Slots whose expert was read ahead and has not been used since. */
  readonly #ahead: Uint8Array;
  /** When the slot was last used. */
  readonly #used: Float64Array;
  #clock = 0;

  constructor(slots: number) {
    this.depth = Math.min(slots, 2);
    this.#roundSize = Math.min(MAX_ROUND, Math.max(1, Math.floor(slots / 2)));
    this.#experts = new Int32Array(slots).fill(-1);
    this.#ahead = new Uint8Array(slots);
    this.#used = new Float64Array(slots);
  }

  /**
   * Uses `needed` (distinct) experts and says in which order: those present first, so that none of them gives way
   * before its turn, and of these the ones read ahead last, whose reading may not be over. Experts of round i may be read into their slots once round i - `depth` has been computed.
   */
  use(needed: readonly number[]): SlotUse[][] {
    const kept: SlotUse[] = [];
    const ahead: SlotUse[] = [];
    const missing: number[] = [];
    for (const expert of needed) {
      const slot = this.#experts.indexOf(expert);
      if (slot < 0) missing.push(expert);
      else if (this.#ahead[slot] === 0) kept.push({ expert, slot, source: 'kept' });
      else ahead.push({ expert, slot, source: 'ahead' });
    }
    const present = [...kept, ...ahead];
    for (const { slot } of present) this.#touch(slot);
    const read = missing.map((expert): SlotUse => {
      const slot = this.#oldest();
      this.#experts[slot] = expert;
      this.#touch(slot);
      return { expert, slot, source: 'read' };
    });
    const order = [...present, ...read];
    const rounds: SlotUse[][] = [];
    for (let i = 0; i < order.length; i += this.#roundSize) rounds.push(order.slice(i, i + this.#roundSize));
    return rounds;
  }

  /**
   * Puts predicted (distinct) experts, likeliest first, in the place of the oldest ones that are not predicted, and
   * returns what is to be read. They stay as old as what they replace: a wrong prediction is the first to go.
   */
  readAhead(predicted: readonly number[]): SlotUse[] {
    const kept = new Set(predicted.slice(0, this.#experts.length));
    const free = Array.from(this.#experts.keys())
      .filter((slot) => !kept.has(this.#experts[slot]!))
      .sort((a, b) => this.#used[a]! - this.#used[b]! || a - b);
    const uses: SlotUse[] = [];
    for (const expert of kept) {
      if (this.#experts.includes(expert)) continue;
      const slot = free[uses.length]!;
      this.#experts[slot] = expert;
      this.#ahead[slot] = 1;
      uses.push({ expert, slot, source: 'read' });
    }
    return uses;
  }

  #touch(slot: number): void {
    this.#used[slot] = ++this.#clock;
    this.#ahead[slot] = 0;
  }

  #oldest(): number {
    let oldest = 0;
    for (let slot = 1; slot < this.#used.length; slot++) {
      if (this.#used[slot]! < this.#used[oldest]!) oldest = slot;
    }
    return oldest;
  }
}
