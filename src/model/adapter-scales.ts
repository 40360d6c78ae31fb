import { CriaError } from '../base/errors.js';
import type { AdapterLayout } from './adapter-plan.js';

/** How much of each adapter every sequence gets: kept here, and as floats where the lanes read them. */
export class AdapterScales {
  readonly #layout: AdapterLayout | undefined;
  readonly #home: Float32Array;
  readonly #scales: (readonly number[])[];

  /** @param home the arena that holds activations @param initial one scale per adapter, for all sequences */
  constructor(
    layout: AdapterLayout | undefined,
    home: Float32Array,
    sequences: number,
    initial: readonly number[],
  ) {
    this.#layout = layout;
    this.#home = home;
    this.#scales = Array.from({ length: sequences }, () => initial);
    for (let sequence = 0; sequence < sequences; sequence++) this.#write(sequence);
  }

  of(sequence: number): readonly number[] {
    return this.#scales[sequence]!;
  }

  /** Throws `bad-adapter-scales` unless there is one finite scale per adapter. */
  check(scales: readonly number[]): void {
    const expected = this.#layout?.count ?? 0;
    if (scales.length === expected && scales.every(Number.isFinite)) return;
    const message = `expected ${expected} finite scales, one per adapter, found ${JSON.stringify(scales)}`;
    throw new CriaError('usage', 'bad-adapter-scales', message);
  }

  /** Returns whether anything changed. Not during an evaluation. */
  set(sequence: number, scales: readonly number[]): boolean {
    if (sameScales(scales, this.of(sequence))) return false;
    this.#scales[sequence] = [...scales];
    this.#write(sequence);
    return true;
  }

  #write(sequence: number): void {
    if (!this.#layout) return;
    const { offset, columns } = this.#layout.scales;
    this.#home.set(this.of(sequence), offset / 4 + sequence * columns);
  }
}

export function sameScales(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((scale, i) => scale === b[i]);
}
