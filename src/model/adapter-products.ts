import type { Buffer } from '../engine/buffers.js';
import type { Operations } from '../engine/operations.js';
import type { Addition, Run, Target } from '../engine/products.js';
import { PANEL_ROWS } from '../quant/packed-layout.js';
import type { AdapterLayout, MatrixAdapters } from './adapter-plan.js';

/**
 * What adapters add to matrix products: y += B (scale · A x), each row with the scales of its sequence. All lanes make
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

  /**
   * What is to be added to products of `x`; its own part, scale · A x, is complete.
   * @param sequences of the rows of `x` that the runs name
   */
  additions(
    x: Buffer,
    runs: readonly Run[],
    targets: readonly Target[],
    sequences: ArrayLike<number>,
  ): Addition[] {
    if (this.#used.size === 0) return [];
    const adapted = targets.flatMap((to, i) => {
      const adapters = this.#adaptersOf(to.matrix.name);
      if (adapters === undefined) return [];
      return [{ adapters, to, inner: { offset: this.#layout.products[i]!.offset, columns: adapters.width } }];
    });
    if (adapted.length === 0) return [];
    const { products, lane } = this.#ops;
    products.multiplyOwn(
      x,
      runs,
      adapted.map(({ adapters, inner }) => ({ matrix: adapters.a, y: inner })),
    );
    if (!this.#unscaled) {
      for (const { adapters, inner } of adapted) this.#scaleOwn(adapters, inner, runs, sequences);
    }
    lane.barrier();
    return adapted.map(({ adapters, to, inner }) => ({ x: inner, matrix: adapters.b, to }));
  }

  #adaptersOf(name: string): MatrixAdapters | undefined {
    const adapters = this.#layout.matrices.get(name);
    return adapters?.parts.some(({ adapter }) => this.#used.has(adapter)) ? adapters : undefined;
  }

  /** Scales the columns of A x that this lane computed. */
  #scaleOwn(
    { width, parts }: MatrixAdapters,
    inner: Buffer,
    runs: readonly Run[],
    sequences: ArrayLike<number>,
  ): void {
    const { lane } = this.#ops;
    const { f32 } = lane.home;
    const [start, end] = lane.share(width, PANEL_ROWS);
    for (const { first, count } of runs) {
      for (let row = first; row < first + count; row++) {
        for (const part of parts) {
          const scale = this.#scale(sequences[row]!, part.adapter);
          if (scale === 1) continue;
          const at = inner.offset / 4 + row * inner.columns;
          const last = Math.min(end, part.first + part.rank);
          for (let column = Math.max(start, part.first); column < last; column++) {
            f32[at + column] = scale === 0 ? 0 : f32[at + column]! * scale;
          }
        }
      }
    }
  }

  #scale(sequence: number, adapter: number): number {
    const { scales } = this.#layout;
    return this.#ops.lane.home.f32[scales.offset / 4 + sequence * scales.columns + adapter]!;
  }
}
