/** Adds up hidden states after the output norm: the embedding of a text is their mean over its tokens. */
export class MeanEmbedding {
  readonly #weight: Float32Array;
  readonly #eps: number;
  readonly #sums: Float64Array;
  #count = 0;

  /** @param weight of the output norm, [width] */
  constructor(weight: Float32Array, eps: number) {
    this.#weight = weight;
    this.#eps = eps;
    this.#sums = new Float64Array(weight.length);
  }

  /** @param hidden states [tokens][width] as the last layer left them */
  add(hidden: Float32Array): void {
    const width = this.#weight.length;
    for (let start = 0; start < hidden.length; start += width) {
      let squares = 0;
      for (let i = 0; i < width; i++) squares += hidden[start + i]! ** 2;
      const scale = 1 / Math.sqrt(squares / width + this.#eps);
      for (let i = 0; i < width; i++) this.#sums[i]! += hidden[start + i]! * scale * this.#weight[i]!;
      this.#count++;
    }
  }

  /** The mean, [width]. */
  mean(): Float32Array {
    return Float32Array.from(this.#sums, (sum) => sum / Math.max(1, this.#count));
  }
}
