import type { Matrix } from '../../engine/matrix.js';
import type { Run } from '../../engine/products.js';
import type { TrainKernels } from '../kernels.js';
import type { AdapterPlace } from '../placed-parameters.js';
import type { TrainingLayout } from '../training-layout.js';
import type { Gradient, Tape, Value } from './tape.js';
import type { Strided, Weights } from './weights.js';

/** Dropout of one step; masks follow from the seed, the step and the adapter. */
export interface Dropout {
  readonly probability: number;
  readonly seed: number;
  readonly step: number;
}

/** What an adapter computed on the way forward. */
interface Adapted {
  readonly place: AdapterPlace;
  /** Its input: dropped in part, or as it is. */
  readonly input: { readonly address: number; readonly columns: number };
  readonly dropped: boolean;
  /** scale · A x, [rows][stride] */
  readonly inner: { readonly address: number; readonly columns: number };
}

/** y (+)= W x and what an adapter adds, forward and back. */
export class TrainingProducts {
  readonly #tape: Tape;
  readonly #weights: Weights;
  readonly #kernels: TrainKernels;
  readonly #layout: TrainingLayout;
  adapters = true;
  dropout: Dropout | undefined;

  constructor(tape: Tape, weights: Weights, kernels: TrainKernels, layout: TrainingLayout) {
    this.#tape = tape;
    this.#weights = weights;
    this.#kernels = kernels;
    this.#layout = layout;
  }

  /** @param before what the product is added to */
  multiply(x: Value, runs: readonly Run[], matrix: Matrix, columns: number, before?: Value): Value {
    const tape = this.#tape;
    const place = this.adapters ? this.#layout.adapters.get(matrix.name) : undefined;
    const trained = this.#layout.gradients.has(matrix.name);
    const needs = x.needs || trained || place !== undefined || before?.needs === true;
    tape.reads(x, x.rows);
    const y = tape.value(x.rows, columns, needs);
    if (before) {
      tape.reads(before, before.rows);
      tape.copyOwn(before.address, y.address, y);
    }
    this.#eachPiece(matrix, runs, (piece, rowBase, start, tokens) => {
      const source = rowAt(x, start);
      const target = { address: rowAt(y, start).address + rowBase * 4, columns };
      this.#weights.product(matrix, piece, [0, piece.rows], source, target, tokens, before !== undefined);
    });
    const adapted = place && this.#adapt(place, x, runs, y);
    tape.record(() => {
      const dy = y.gradient;
      if (dy === undefined) return;
      tape.reads(dy, y.rows);
      if (before) tape.share(before, dy);
      if (adapted) this.#adaptBack(adapted, x, runs, dy, columns);
      if (trained) this.#addWeightGradient(x, runs, matrix, dy, columns);
      if (!x.needs) return;
      const dx = tape.contribution(x);
      this.#eachPiece(matrix, runs, (piece, rowBase, start, tokens) => {
        const source = { address: dy.address + (start * columns + rowBase) * 4, columns };
        const target = { address: dx.address + start * x.columns * 4, columns: x.columns };
        const accumulate = dx.accumulate || rowBase > 0;
        this.#weights.productBack(matrix, piece, [0, piece.rows], source, target, tokens, accumulate);
      });
    });
    return y;
  }

  /** Pieces of a matrix with the rows of activations that this lane multiplies with each. */
  #eachPiece(
    matrix: Matrix,
    runs: readonly Run[],
    use: (piece: Matrix['pieces'][number], rowBase: number, start: number, tokens: number) => void,
  ): void {
    const [from, to] = this.#tape.lane.share(rowsOf(runs));
    for (const run of runs) {
      const start = Math.max(from, run.first);
      const tokens = Math.min(to, run.first + run.count) - start;
      if (tokens <= 0) continue;
      let rowBase = 0;
      const end = Math.min(matrix.pieces.length, run.piece + run.pieces);
      for (let p = run.piece; p < end; p++) {
        const piece = matrix.pieces[p]!;
        use(piece, rowBase, start, tokens);
        rowBase += piece.rows;
      }
    }
  }

  #addWeightGradient(x: Value, runs: readonly Run[], matrix: Matrix, dy: Gradient, columns: number): void {
    const gradients = this.#layout.gradients.get(matrix.name)!;
    this.#tape.defer(() => {
      for (const run of runs) {
        let rowBase = 0;
        const end = Math.min(matrix.pieces.length, run.piece + run.pieces);
        for (let p = run.piece; p < end; p++) {
          const piece = matrix.pieces[p]!;
          const source = { address: dy.address + (run.first * columns + rowBase) * 4, columns };
          const input = rowAt(x, run.first);
          const range = [0, piece.rows] as const;
          this.#weights.addGradient(piece, matrix.columns, gradients[p]!, range, source, input, run.count);
          rowBase += piece.rows;
        }
      }
    });
  }

  /** y += B (scale · A dropout(x)) */
  #adapt(place: AdapterPlace, x: Value, runs: readonly Run[], y: Value): Adapted {
    const tape = this.#tape;
    const { a, b, rank, scale } = place;
    const rows = x.rows;
    const stride = Math.ceil(rank / 4) * 4;
    const inner = { address: tape.allocate(rows * stride * 4), columns: stride };
    const dropped = this.dropout !== undefined;
    const input = dropped ? { address: tape.allocate(rows * x.columns * 4), columns: x.columns } : x;
    if (dropped) this.#drop(place, x.address, input.address, x);
    const range = [place.firstRow, place.rows] as const;
    this.#eachAdapter(place, runs, (expert, start, tokens) => {
      const u = rowAt(inner, start);
      this.#weights.product(a, a.pieces[expert]!, [0, rank], rowAt(input, start), u, tokens, false);
      tape.lane.home.kernels.scale(u.address, scale, tokens * stride);
      this.#weights.product(b, b.pieces[expert]!, range, u, rowAt(y, start), tokens, true);
    });
    return { place, input, dropped, inner };
  }

  #adaptBack(
    { place, input, dropped, inner }: Adapted,
    x: Value,
    runs: readonly Run[],
    dy: Gradient,
    columns: number,
  ): void {
    const tape = this.#tape;
    const { a, b, rank, scale } = place;
    const stride = inner.columns;
    const range = [place.firstRow, place.rows] as const;
    const dInner = { address: tape.allocate(x.rows * stride * 4), columns: stride };
    const gradient = { address: dy.address, columns };
    this.#eachAdapter(place, runs, (expert, start, tokens) => {
      const du = rowAt(dInner, start);
      this.#weights.productBack(b, b.pieces[expert]!, range, rowAt(gradient, start), du, tokens, false);
      tape.lane.home.kernels.scale(du.address, scale, tokens * stride);
    });
    tape.defer(() => {
      for (const { first, count, expert } of adapterRuns(place, runs)) {
        const add = (to: Matrix, at: number, rows: readonly [number, number], d: Strided, from: Strided) =>
          this.#weights.addGradient(
            to.pieces[expert]!,
            to.columns,
            at,
            rows,
            rowAt(d, first),
            rowAt(from, first),
            count,
          );
        add(b, place.bGradients[expert]!, range, gradient, inner);
        add(a, place.aGradients[expert]!, [0, rank], dInner, input);
      }
    });
    if (!x.needs) return;
    const dx = tape.contribution(x);
    const target = dropped ? tape.allocate(x.rows * x.columns * 4) : dx.address;
    this.#eachAdapter(place, runs, (expert, start, tokens) => {
      const to = { address: target + start * x.columns * 4, columns: x.columns };
      const accumulate = !dropped && dx.accumulate;
      this.#weights.productBack(
        a,
        a.pieces[expert]!,
        [0, rank],
        rowAt(dInner, start),
        to,
        tokens,
        accumulate,
      );
    });
    if (!dropped) return;
    this.#drop(place, target, target, x);
    if (!dx.accumulate) tape.copyOwn(target, dx.address, x);
    else {
      const [start, end] = tape.lane.share(x.rows);
      const at = start * x.columns * 4;
      if (end > start) {
        tape.lane.home.kernels.add(target + at, dx.address + at, (end - start) * x.columns);
      }
    }
  }

  /** This lane's rows of the adapter's input, or of its gradient, with the same elements zeroed. */
  #drop({ index }: AdapterPlace, from: number, to: number, { rows, columns }: Value): void {
    const { probability, seed, step } = this.dropout!;
    const [start, end] = this.#tape.lane.share(rows);
    if (end <= start) return;
    const at = start * columns;
    this.#kernels.dropout(
      from + at * 4,
      to + at * 4,
      (end - start) * columns,
      1 / (1 - probability),
      Math.floor(probability * 2 ** 32),
      seed,
      (Math.imul(step, 0x9e3779b1) ^ index) | 0,
      at,
    );
  }

  #eachAdapter(
    place: AdapterPlace,
    runs: readonly Run[],
    use: (expert: number, start: number, tokens: number) => void,
  ): void {
    const [from, to] = this.#tape.lane.share(rowsOf(runs));
    for (const { first, count, expert } of adapterRuns(place, runs)) {
      const start = Math.max(from, first);
      const tokens = Math.min(to, first + count) - start;
      if (tokens > 0) use(expert, start, tokens);
    }
  }
}

function rowAt({ address, columns }: Strided, row: number): Strided {
  return { address: address + row * columns * 4, columns };
}

/** Runs cover all rows of the activations. */
function rowsOf(runs: readonly Run[]): number {
  const { first, count } = runs.at(-1)!;
  return first + count;
}

function adapterRuns({ a }: AdapterPlace, runs: readonly Run[]) {
  return runs.map(({ first, count, piece }) => ({ first, count, expert: a.pieces.length > 1 ? piece : 0 }));
}
