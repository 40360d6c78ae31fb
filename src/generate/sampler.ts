import { CriaError } from '../base/errors.js';
import { Random, randomSeed } from './random.js';
import { type ResolvedSampling, resolveSampling, type SamplingOptions } from './sampling-options.js';
import { sumExp } from './sum-exp.js';

/** Tokens that may come next; the probabilities add up to 1. */
export interface Distribution {
  readonly ids: Int32Array;
  readonly probabilities: Float64Array;
}

/**
 * Chooses tokens from logits. The steps, their order and their definitions are those of llama.cpp's default sampler
 * chain, without the samplers Cria does not have:
 *
 * 1. logit bias;
 * 2. penalties on the last `repeatLastN` tokens: a logit above 0 is divided by `repeatPenalty`, another multiplied by
 *    it; then `presencePenalty` and, per occurrence, `frequencyPenalty` are subtracted;
 * 3. top-k;
 * 4. top-p: the fewest most likely tokens whose probability, among those left by top-k, reaches `topP`;
 * 5. min-p: tokens at least `minP` times as likely as the most likely one;
 * 6. temperature. It comes last: the cut-offs see the model's own probabilities.
 *
 * Of equal logits the lower id counts as the more likely. A NaN logit is never chosen. Buffers are allocated once.
 */
export class Sampler {
  /** The seed in use, also when it was chosen at random. */
  readonly seed: number;
  readonly #options: ResolvedSampling;
  readonly #random: Random;
  readonly #logits: Float64Array;
  /** Candidates; the first `#kept` are what may be chosen. */
  readonly #ids: Int32Array;
  readonly #weights: Float64Array;
  readonly #counts = new Map<number, number>();
  #kept = 0;

  /**
   * `tokenCount`: ids from this on are never chosen; a model's logits may be more than its tokenizer has tokens.
   * Throws `bad-sampling-option`.
   */
  constructor(options: SamplingOptions, tokenCount: number) {
    this.#options = resolveSampling(options);
    this.seed = options.seed ?? randomSeed();
    this.#random = new Random(this.seed);
    this.#logits = new Float64Array(tokenCount);
    this.#ids = new Int32Array(tokenCount);
    this.#weights = new Float64Array(tokenCount);
  }

  /**
   * The next token after `history` (prompt and generated tokens), from at least `tokenCount` logits. Draws one random
   * number unless the temperature is 0. Throws `no-token-to-sample` when no logit is above −Infinity.
   */
  sample(logits: Float32Array, history: ArrayLike<number>): number {
    return this.#pick(this.#select(logits, history));
  }

  /** What `sample` chooses from. Draws nothing. */
  distribution(logits: Float32Array, history: ArrayLike<number>): Distribution {
    return this.#distribution(this.#select(logits, history));
  }

  /** As `sample`, with what was chosen from. */
  draw(logits: Float32Array, history: ArrayLike<number>): { id: number; distribution: Distribution } {
    const total = this.#select(logits, history);
    const distribution = this.#distribution(total);
    return { id: this.#pick(total), distribution };
  }

  /**
   * The next token, given one that was drawn from `proposal`: that one as often as possible, and by itself distributed
   * exactly as `sample` has it. The rule of speculative sampling (Leviathan et al. 2023, Chen et al. 2023): keep the
   * token with probability min(1, p/q), else draw in proportion to max(0, p − q). Draws one or two random numbers
   * unless the temperature is 0.
   */
  sampleDrafted(
    logits: Float32Array,
    history: ArrayLike<number>,
    drafted: number,
    proposal: Distribution,
  ): number {
    const total = this.#select(logits, history);
    if (this.#options.temperature === 0) return this.#ids[0]!;
    const { ids, probabilities } = proposal;
    const weights = this.#weights;
    // The logits have served; their room takes what the proposal gives each candidate.
    const proposed = this.#logits.fill(0);
    for (let i = 0; i < ids.length; i++) proposed[ids[i]!] = probabilities[i]!;
    let keep = 0;
    let rest = 0;
    for (let i = 0; i < this.#kept; i++) {
      const id = this.#ids[i]!;
      const probability = weights[i]! / total;
      if (id === drafted) keep = probability / proposed[id]!;
      weights[i] = Math.max(0, probability - proposed[id]!);
      rest += weights[i]!;
    }
    // Without a rest the two distributions are the same but for rounding.
    return this.#random.next() < keep || rest === 0 ? drafted : this.#pick(rest);
  }

  /** Draws from the candidates by their weights, whose sum is `total`. */
  #pick(total: number): number {
    if (this.#options.temperature === 0) return this.#ids[0]!;
    let rest = this.#random.next() * total;
    let at = 0;
    while (at < this.#kept - 1) {
      rest -= this.#weights[at]!;
      if (rest < 0) break;
      at++;
    }
    return this.#ids[at]!;
  }

  #distribution(total: number): Distribution {
    return {
      ids: this.#ids.slice(0, this.#kept),
      probabilities: this.#weights.slice(0, this.#kept).map((weight) => weight / total),
    };
  }

  /** Leaves the tokens that may be chosen, and their weights, in the buffers; returns the sum of the weights. */
  #select(logits: Float32Array, history: ArrayLike<number>): number {
    const best = this.#adjust(logits, history);
    if (best === -1) {
      throw new CriaError(
        'internal',
        'no-token-to-sample',
        'expected a token to choose, found all of them ruled out',
      );
    }
    const { temperature } = this.#options;
    if (temperature === 0) {
      this.#ids[0] = best;
      this.#weights[0] = 1;
      this.#kept = 1;
      return 1;
    }
    const max = this.#logits[best]!;
    this.#kept = this.#cut(max);
    let total = 0;
    for (let i = 0; i < this.#kept; i++) {
      const weight = Math.exp((this.#logits[this.#ids[i]!]! - max) / temperature);
      this.#weights[i] = weight;
      total += weight;
    }
    return total;
  }

  /** Steps 1 and 2 into `#logits`, all of them finite or −Infinity then. Returns the most likely token, −1 if none. */
  #adjust(logits: Float32Array, history: ArrayLike<number>): number {
    const adjusted = this.#logits;
    adjusted.set(logits.subarray(0, adjusted.length));
    for (const [id, bias] of this.#options.logitBias) {
      if (id >= 0 && id < adjusted.length) adjusted[id]! += bias;
    }
    this.#penalize(history);
    let best = -1;
    let max = -Infinity;
    for (let id = 0; id < adjusted.length; id++) {
      const logit = adjusted[id]!;
      if (logit > max) {
        max = logit;
        best = id;
      }
      if (Number.isNaN(logit)) adjusted[id] = -Infinity;
      else if (logit === Infinity) adjusted[id] = Number.MAX_VALUE;
    }
    return best;
  }

  #penalize(history: ArrayLike<number>): void {
    const { repeatPenalty, repeatLastN, presencePenalty, frequencyPenalty } = this.#options;
    if (repeatPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0) return;
    const counts = this.#counts;
    counts.clear();
    const first = repeatLastN === -1 ? 0 : Math.max(0, history.length - repeatLastN);
    for (let i = first; i < history.length; i++) {
      const id = history[i]!;
      if (id >= 0 && id < this.#logits.length) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, count] of counts) {
      const logit = this.#logits[id]!;
      const repeated = logit > 0 ? logit / repeatPenalty : logit * repeatPenalty;
      this.#logits[id] = repeated - presencePenalty - count * frequencyPenalty;
    }
  }

  /**
   * Steps 3 to 5: leaves the remaining candidates in `#ids` and returns their number. Each step keeps the most likely
   * ones, so min-p, which needs no order, goes first where top-k does not change what top-p sees: it leaves few to
   * be put in order.
   */
  #cut(max: number): number {
    const { topK, topP, minP } = this.#options;
    const minLogit = max + Math.log(minP);
    if (topK === 0) {
      const count = this.#gather(minLogit);
      return topP === 1 ? count : this.#takeLargest(count, count, topP * sumExp(this.#logits, max), max);
    }
    const count = this.#takeLargest(this.#gather(-Infinity), topK, Infinity, max);
    let mass = 0;
    for (let i = 0; i < count; i++) mass += Math.exp(this.#logits[this.#ids[i]!]! - max);
    let kept = 0;
    let reached = 0;
    while (kept < count && this.#logits[this.#ids[kept]!]! >= minLogit) {
      reached += Math.exp(this.#logits[this.#ids[kept++]!]! - max);
      if (topP < 1 && reached >= topP * mass) break;
    }
    return kept;
  }

  /** Puts the ids of at least this logit into `#ids`, ascending; their number. */
  #gather(minLogit: number): number {
    let count = 0;
    for (let id = 0; id < this.#logits.length; id++) {
      const logit = this.#logits[id]!;
      if (logit >= minLogit && logit !== -Infinity) this.#ids[count++] = id;
    }
    return count;
  }

  /**
   * Moves the most likely of the first `count` ids to the front, in order, until there are `limit` of them or they
   * have `mass` together; their number. A heap, because few of many are usually wanted.
   */
  #takeLargest(count: number, limit: number, mass: number, max: number): number {
    const ids = this.#ids;
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#siftDown(at, count);
    let size = count;
    let reached = 0;
    while (size > 0 && count - size < limit && (size === count || reached < mass)) {
      const largest = ids[0]!;
      reached += Math.exp(this.#logits[largest]! - max);
      size--;
      ids[0] = ids[size]!;
      ids[size] = largest;
      this.#siftDown(0, size);
    }
    ids.subarray(0, count).reverse();
    return count - size;
  }

  #siftDown(at: number, size: number): void {
    const ids = this.#ids;
    const id = ids[at]!;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isLarger(ids[child + 1]!, ids[child]!)) child++;
      if (!this.#isLarger(ids[child]!, id)) break;
      ids[at] = ids[child]!;
      at = child;
    }
    ids[at] = id;
  }

  #isLarger(a: number, b: number): boolean {
    const difference = this.#logits[a]! - this.#logits[b]!;
    return difference > 0 || (difference === 0 && a < b);
  }
}
