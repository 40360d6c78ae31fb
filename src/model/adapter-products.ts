import type { Buffer } from '../engine/buffers.js';
import type { Operations } from '../engine/operations.js';
import type { Run, Target } from '../engine/products.js';
import type { AdapterLayout, MatrixAdapters } from './adapter-plan.js';

/**
 * What adapters add to matrix products: y += scale · B (A x), each row with the scales of its sequence. All lanes make
 * the same calls. Rows whose scales are 0 get zeros added, and a step without any other costs nothing.
 */
export class AdapterProducts {
  readonly #ops: Operations;
  readonly #layout: AdapterLayout;
  /** Adapters that some sequence of the step uses. */
  #used = new Set<number>();
  /** Whether all sequences of the step use all adapters as they were trained, so that nothing has to be scaled. */
  #unscaled = true;

  constructor(ops: Operations, layout: AdapterLayout) {
    this.#ops = ops;
    this.#layout = layout;
  }

  /** To be called before a step of tokens of these sequences. */
  begin(sequences: Int32Array): void {
    this.#used = new Set();
    this.#unscaled = true;
    for (const sequence of new Set(sequences)) {
      for (let adapter = 0; adapter < this.#layout.count; adapter++) {
        const scale = this.#scale(sequence, adapter);
        if (scale !== 0) this.#used.add(adapter);
        if (scale !== 1) this.#unscaled = false;
      }
    }
  }

  /** Whether a product with any of these matrices changes. */
  changes(...targets: readonly Target[]): boolean {
    return this.#used.size > 0 && targets.some(({ matrix }) => this.#adaptersOf(matrix.name) !== undefined);
  }

  /** Adds to products that are complete. @param sequences of the rows of `x` that the runs name */
  add(x: Buffer, runs: readonly Run[], targets: readonly Target[], sequences: ArrayLike<number>): void {
    if (!this.changes(...targets)) return;
    const { products } = this.#ops;
    const adapted = targets.flatMap(({ matrix, y }, i) => {
      const adapters = this.#adaptersOf(matrix.name);
      if (adapters === undefined) return [];
      return [{ adapters, y, inner: { offset: this.#layout.products[i]!.offset, columns: adapters.width } }];
    });
    products.multiply(
      x,
      runs,
      adapted.map(({ adapters, inner }) => ({ matrix: adapters.a, y: inner })),
    );
    if (!this.#unscaled) {
      for (const { adapters, inner } of adapted) this.#scaleRows(adapters, inner, runs, sequences);
      this.#ops.lane.barrier();
    }
    for (const { adapters, y, inner } of adapted) {
      products.multiply(inner, runs, [{ matrix: adapters.b, y, accumulate: true }]);
    }
  }

  #adaptersOf(name: string): MatrixAdapters | undefined {
    const adapters = this.#layout.matrices.get(name);
    return adapters?.parts.some(({ adapter }) => this.#used.has(adapter)) ? adapters : undefined;
  }

  #scaleRows(
    { parts }: MatrixAdapters,
    inner: Buffer,
    runs: readonly Run[],
    sequences: ArrayLike<number>,
  ): void {
    const { lane } = this.#ops;
    const { f32 } = lane.home;
    for (const { first, count } of runs) {
      const [start, end] = lane.share(count);
      for (let row = first + start; row < first + end; row++) {
        for (const { adapter, first: column, rank } of parts) {
          const scale = this.#scale(sequences[row]!, adapter);
          if (scale === 1) continue;
          const at = inner.offset / 4 + row * inner.columns + column;
          if (scale === 0) f32.fill(0, at, at + rank);
          else for (let k = 0; k < rank; k++) f32[at + k]! *= scale;
        }
      }
    }
  }

  #scale(sequence: number, adapter: number): number {
    const { scales } = this.#layout;
    return this.#ops.lane.home.f32[scales.offset / 4 + sequence * scales.columns + adapter]!;
  }
}
