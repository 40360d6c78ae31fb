import { CriaError } from '../base/errors.js';
import { sameScales } from '../model/adapter-scales.js';
import { reusablePrefix, type SequenceModel } from '../model/sequence-model.js';
import type { TokenModel } from '../model/token-model.js';
import { ApiError } from './api-error.js';

/** A sequence of the model, for one answer. */
export interface Slot {
  readonly index: number;
  readonly model: TokenModel;
  /** First tokens of the prompt that the slot's cache holds already. */
  readonly cachedTokens: number;
}

interface Waiting {
  readonly prompt: readonly number[];
  readonly adapters: readonly number[] | undefined;
  readonly resolve: (slot: Slot) => void;
}

export interface SlotPoolOptions {
  /** Requests that may wait for a slot; more are refused. */
  readonly queueLimit: number;
  /** One sequence of the model as a model of its own. */
  readonly view: (sequence: number) => TokenModel;
}

/** What choosing a slot needs of the model. */
export type SlotModel = Pick<SequenceModel, 'cachedTokens' | 'sequences'> & {
  readonly adapterScales?: (sequence: number) => readonly number[];
};

/**
 * Gives the model's sequences to requests, first come, first served, each the free one that holds most of its
 * prompt already.
 */
export class SlotPool {
  readonly #model: SlotModel;
  readonly #options: SlotPoolOptions;
  /** Longest unused first. */
  #free: number[];
  #waiting: Waiting[] = [];

  constructor(model: SlotModel, options: SlotPoolOptions) {
    this.#model = model;
    this.#options = options;
    this.#free = Array.from({ length: model.sequences }, (_, i) => i);
  }

  get total(): number {
    return this.#model.sequences;
  }

  get busy(): number {
    return this.total - this.#free.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Refuses with 503 when `requests` more would be too many to wait. */
  checkRoom(requests = 1): void {
    if (this.waiting + requests <= this.#free.length + this.#options.queueLimit) return;
    throw new ApiError(
      503,
      'overloaded_error',
      'queue-full',
      `all ${this.total} slots are busy and ${this.waiting} requests wait: try again later`,
      { retryAfter: 2 },
    );
  }

  /**
   * A slot for `prompt`, to be given back with `release`. What a slot holds counts where it was computed with the
   * same `adapters`, scales of each. Throws `queue-full` (503), and `cancelled`.
   */
  async acquire(prompt: readonly number[], signal: AbortSignal, adapters?: readonly number[]): Promise<Slot> {
    this.checkRoom();
    if (this.#free.length > 0 && this.#waiting.length === 0) return this.#take(prompt, adapters);
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(new CriaError('cancelled', 'cancelled', 'the request was given up'));
      };
      const waiting: Waiting = {
        prompt,
        adapters,
        resolve: (slot) => {
          signal.removeEventListener('abort', stop);
          resolve(slot);
        },
      };
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      this.#waiting.push(waiting);
    });
  }

  release(slot: Slot): void {
    this.#free.push(slot.index);
    const next = this.#waiting.shift();
    if (next) next.resolve(this.#take(next.prompt, next.adapters));
  }

  #take(prompt: readonly number[], adapters: readonly number[] | undefined): Slot {
    let best = 0;
    let cachedTokens = -1;
    for (const [i, index] of this.#free.entries()) {
      const held = this.#model.adapterScales?.(index);
      const alike = !adapters || !held || sameScales(held, adapters);
      const reusable = alike ? reusablePrefix(this.#model.cachedTokens(index), prompt) : 0;
      if (reusable > cachedTokens) [best, cachedTokens] = [i, reusable];
    }
    const [index] = this.#free.splice(best, 1) as [number];
    return { index, model: this.#options.view(index), cachedTokens };
  }
}
