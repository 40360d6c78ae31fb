import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import type { Imatrix, ImatrixEntry } from '../formats/imatrix/index.js';
import type { CollectedSquares } from '../model/collecting-model.js';

/** Totals of the tensors that are multiplied with the same input. */
export interface InputTotals {
  readonly names: readonly string[];
  /** Σ x², `[matrices][columns]`. */
  readonly sums: Float64Array;
  /** Rows, `[texts][matrices]`: from which text they came tells what text to add. */
  readonly counts: Float64Array;
}

/**
 * What all windows so far added up to. Windows are added one at a time, each summed up by itself, so that the result
 * has the same bits however often the work was interrupted.
 */
export class CalibrationTotals {
  readonly texts: readonly string[];
  readonly inputs: readonly InputTotals[];
  /** Windows added. */
  chunks = 0;

  /** @param collected of the model that is calibrated: its names and shapes; what it holds is not added */
  constructor(collected: ReadonlyMap<string, CollectedSquares>, texts: readonly string[]) {
    this.texts = texts;
    const byArray = new Map<CollectedSquares, { names: string[] } & Omit<InputTotals, 'names'>>();
    for (const [name, squares] of collected) {
      const shared = byArray.get(squares);
      if (shared) shared.names.push(name);
      else {
        byArray.set(squares, {
          names: [name],
          sums: new Float64Array(squares.sums.length),
          counts: new Float64Array(squares.counts.length * texts.length),
        });
      }
    }
    this.inputs = [...byArray.values()];
  }

  /**
   * Adds what one window of text number `text` gave. Throws `not-finite` (bad-file) for infinite or undefined
   * activations, which only damaged weights give.
   */
  add(collected: ReadonlyMap<string, CollectedSquares>, text: number): void {
    for (const { names, sums, counts } of this.inputs) {
      const window = collected.get(names[0]!)!;
      for (let i = 0; i < sums.length; i++) {
        const sum = window.sums[i]!;
        if (!Number.isFinite(sum)) throw notFinite(names[0]!, this.chunks);
        sums[i]! += sum;
      }
      const first = text * window.counts.length;
      for (let i = 0; i < window.counts.length; i++) counts[first + i]! += window.counts[i]!;
    }
    this.chunks++;
  }

  /** The importance matrix of everything added. */
  toImatrix(chunkSize: number): Imatrix {
    const entries = new Map<string, ImatrixEntry>();
    for (const { names, sums, counts } of this.inputs) {
      const matrices = counts.length / this.texts.length;
      const total = Float64Array.from({ length: matrices }, (_, matrix) =>
        this.texts.reduce((sum, _, text) => sum + counts[text * matrices + matrix]!, 0),
      );
      for (const name of names) entries.set(name, { sums, counts: total });
    }
    return { datasets: this.texts, chunkCount: this.chunks, chunkSize, entries };
  }

  /** Rows that the tokens of one text sent to each matrix of each tensor. */
  countsOfText(text: number): Map<string, Float64Array> {
    const found = new Map<string, Float64Array>();
    for (const { names, counts } of this.inputs) {
      const matrices = counts.length / this.texts.length;
      for (const name of names) found.set(name, counts.subarray(text * matrices, (text + 1) * matrices));
    }
    return found;
  }
}

function notFinite(name: string, chunk: number): CriaError {
  return new CriaError(
    'bad-file',
    'not-finite',
    `the input of ${quote(name)} is not a finite number in window ${chunk + 1}: weights before it must be damaged`,
  );
}
