/** Mean of a stream of numbers and its standard error, by Welford's recurrence (Technometrics 4(3), 1962). */
export class RunningMean {
  #count = 0;
  #mean = 0;
  /** Sum of the squared distances from the mean. */
  #spread = 0;

  add(value: number): void {
    this.#count++;
    const distance = value - this.#mean;
    this.#mean += distance / this.#count;
    this.#spread += distance * (value - this.#mean);
  }

  get count(): number {
    return this.#count;
  }

  /** NaN before the first value. */
  get mean(): number {
    return this.#count === 0 ? Number.NaN : this.#mean;
  }

  /** √(variance / (n − 1)) with the variance over n, as llama-perplexity; 0 when it cannot be estimated. */
  get standardError(): number {
    return this.#count > 1 ? Math.sqrt(this.#spread / this.#count / (this.#count - 1)) : 0;
  }
}
