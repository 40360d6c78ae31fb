import type { Routing } from '../../model/routing.js';

/**
 * The load-balancing loss of Switch Transformers (Fedus et al. 2021, arXiv:2101.03961, section 2.2), per layer:
 * E · Σ_e f_e · P_e with f_e the part of all choices that fell on expert e, and P_e the mean over tokens of the softmax
 * of the router's logits. It is 1 when choices are even. f is taken for a constant.
 */
export class RouterLoss {
  readonly #experts: number;
  readonly #shares: Float64Array;

  /** @param routing of all tokens */
  constructor({ starts, tokens }: Routing) {
    this.#experts = starts.length - 1;
    this.#shares = Float64Array.from(
      { length: this.#experts },
      (_, e) => (starts[e + 1]! - starts[e]!) / tokens.length,
    );
  }

  /** E · Σ_e f_e p_e of one token; its mean over tokens is the layer's loss. */
  ofToken(logits: Float32Array): number {
    const { probabilities, weighted } = this.#probabilities(logits);
    return (this.#experts * weighted) / probabilities.reduce((sum, p) => sum + p, 0);
  }

  /** gradient += factor · d ofToken / d logits */
  addGradient(logits: Float32Array, factor: number, gradient: Float32Array): void {
    const { probabilities, weighted } = this.#probabilities(logits);
    const sum = probabilities.reduce((all, p) => all + p, 0);
    for (let e = 0; e < this.#experts; e++) {
      const slope = (probabilities[e]! / sum) * (this.#shares[e]! - weighted / sum);
      gradient[e]! += factor * this.#experts * slope;
    }
  }

  /** Before they are divided by their sum; with Σ_e f_e p_e. */
  #probabilities(logits: Float32Array) {
    let largest = Number.NEGATIVE_INFINITY;
    for (const logit of logits) largest = Math.max(largest, logit);
    const probabilities = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
    let weighted = 0;
    for (let e = 0; e < this.#experts; e++) weighted += this.#shares[e]! * probabilities[e]!;
    return { probabilities, weighted };
  }
}
