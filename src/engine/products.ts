import { PANEL_ROWS, packedActivations } from '../quant/packed-layout.js';
import { type Buffer, copyRows, outputRegion, type Staging } from './buffers.js';
import type { Lane } from './lane.js';
import type { InputSquares, Matrix, Piece } from './matrix.js';

/** Tokens `[first, first + count)` of a buffer and the pieces of each matrix they are multiplied with. */
export interface Run {
  readonly first: number;
  readonly count: number;
  /** Pieces `[piece, piece + pieces)` of the matrix; `pieces` Infinity means to the last. */
  readonly piece: number;
  readonly pieces: number;
}

export interface Target {
  readonly matrix: Matrix;
  readonly y: Buffer;
  /** Add to `y` instead of overwriting it. */
  readonly accumulate?: boolean;
}

/** A product that is added to that of another matrix with as many rows. */
export interface Addition {
  readonly x: Buffer;
  readonly matrix: Matrix;
  readonly to: Target;
}

/** Columns of an activation block, and its bytes in both forms: see assembly/activations.ts. */
export const ACTIVATION_GROUP = 32;
export const BYTE_BLOCK = 64;
export const WORD_BLOCK = 80;
/** Rows of a matrix that one of `lanes` lanes computes, at most. */
export function laneRows(rows: number, lanes: number): number {
  return Math.ceil(Math.ceil(rows / PANEL_ROWS) / lanes) * PANEL_ROWS;
}

type ActivationForm = 'floats' | 'bytes' | 'words';

/** What kernels that take unsigned codes up to `greatestCode` with bytes multiply a matrix with. */
function activationForm({ float, form, minCode, maxCode }: Matrix, greatestCode: number): ActivationForm {
  if (float) return 'floats';
  if (form !== 0) return packedActivations(form, greatestCode);
  return maxCode - minCode <= greatestCode ? 'bytes' : 'words';
}

/** All tokens against all rows of each matrix. */
export function everyToken(count: number): Run[] {
  return [{ first: 0, count, piece: 0, pieces: Number.POSITIVE_INFINITY }];
}

/** Matrix products; see `Operations` for what every operation expects and leaves. */
export class Products {
  readonly lane: Lane;
  readonly #staging: Staging;
  readonly #greatestCode: number;

  constructor(lane: Lane, staging: Staging) {
    this.lane = lane;
    this.#staging = staging;
    this.#greatestCode = lane.home.kernels.greatestCode();
  }

  /** y[t] (+)= matrix × x[t] for every target, all of which read the same `x`, and then the additions. */
  multiply(
    x: Buffer,
    runs: readonly Run[],
    targets: readonly Target[],
    additions: readonly Addition[] = [],
  ): void {
    this.multiplyOwn(x, runs, targets);
    this.#addOwn(runs, additions);
    this.lane.barrier();
  }

  /**
   * gate.y[t] = silu(gate × x[t]) × (up × x[t]), each with its additions, with up.y as room; widths are multiples of 4.
   */
  multiplyGated(
    x: Buffer,
    runs: readonly Run[],
    gate: Target,
    up: Target,
    additions: readonly Addition[] = [],
  ): void {
    this.multiplyOwn(x, runs, [gate, up]);
    const own = this.#addOwn(runs, additions);
    // Lanes go on with the columns that they computed themselves, unless the matrices are cut differently.
    if (!own || !runs.every((run) => cutAlike(gate.matrix, up.matrix, run))) this.lane.barrier();
    const { kernels } = this.lane.home;
    for (const run of runs) {
      let column = 0;
      for (const { rows } of piecesOf(gate.matrix, run)) {
        const [start, end] = this.lane.share(rows, PANEL_ROWS);
        for (let t = run.first; end > start && t < run.first + run.count; t++) {
          const at = (t * gate.y.columns + column + start) * 4;
          kernels.siluMultiply(gate.y.offset + at, up.y.offset + at, end - start);
        }
        column += rows;
      }
    }
    this.lane.barrier();
  }

  /** Adds to products that each lane has computed its own rows of; returns whether it added to no other rows. */
  #addOwn(runs: readonly Run[], additions: readonly Addition[]): boolean {
    let own = true;
    for (const { x, to, matrix } of additions) {
      // Matrices at home need no staging, which others may still read.
      const independent = runs.every(
        (run) =>
          cutAlike(to.matrix, matrix, run) &&
          piecesOf(matrix, run).every(({ arena }) => matrix.float && arena === 0),
      );
      if (!independent) this.lane.barrier();
      own &&= independent;
      this.multiplyOwn(x, runs, [{ matrix, y: to.y, accumulate: true }]);
    }
    return own;
  }

  /** As `multiply`; each lane's own rows only are complete at its end, which is no barrier. */
  multiplyOwn(x: Buffer, runs: readonly Run[], targets: readonly Target[]): void {
    const tokens = runs.reduce((sum, { count }) => sum + count, 0);
    const divided = this.lane.divides(tokens * x.columns);
    let staged = false;
    for (const run of runs) staged = this.#stage(x, run, targets, divided) || staged;
    const squares = targets[0]?.matrix.inputSquares;
    if (squares) this.measure(x, runs, squares);
    if (staged && divided) this.lane.barrier();
    for (const run of runs) {
      for (const target of targets) this.#multiplyRun(x, run, target);
    }
  }

  /** Adds the squares of a product's inputs, each lane those of its own columns. Ends without a barrier. */
  measure(x: Buffer, runs: readonly Run[], squares: InputSquares): void {
    const { kernels, f64 } = this.lane.home;
    const { offset, columns, matrices } = squares;
    const [start, end] = this.lane.share(columns, PANEL_ROWS);
    const rowBytes = x.columns * 4;
    for (const { first, count, piece } of runs) {
      const from = x.offset + first * rowBytes + start * 4;
      const sums = offset + (piece * columns + start) * 8;
      kernels.accumulateSquares(from, rowBytes, count, sums, end - start);
      if (this.lane.rank === 0) f64[offset / 8 + matrices * columns + piece]! += count;
    }
  }

  /**
   * Puts a run's activations, in the forms its targets need, into their arenas, this lane's share or all; true when
   * anything was written.
   */
  #stage(x: Buffer, run: Run, targets: readonly Target[], divided: boolean): boolean {
    const done = new Set<string>();
    for (const { matrix } of targets) {
      for (const piece of piecesOf(matrix, run)) {
        if (matrix.float && piece.arena === 0) continue;
        const form = activationForm(matrix, this.#greatestCode);
        const key = `${piece.arena} ${form}`;
        if (done.has(key)) continue;
        done.add(key);
        this.#stageRun(x, run, piece.arena, form, divided);
      }
    }
    return done.size > 0;
  }

  #stageRun(x: Buffer, run: Run, arenaIndex: number, form: ActivationForm, divided: boolean): void {
    const arena = this.lane.arenas[arenaIndex]!;
    const base = run.first * x.columns;
    const floats = run.count * x.columns;
    const [start, end] = divided ? this.lane.share(floats, 32) : [0, floats];
    if (end <= start) return;
    let source = x.offset + (base + start) * 4;
    if (arenaIndex !== 0) {
      const target = this.#staging.x + (base + start) * 4;
      arena.u8.set(this.lane.home.u8.subarray(source, source + (end - start) * 4), target);
      source = target;
    }
    if (form === 'floats') return;
    const [blocks, blockBytes] = this.#blocks(form);
    const rowBlocks = x.columns / ACTIVATION_GROUP;
    const last = end / ACTIVATION_GROUP;
    // Blocks of a token, which follow each other here, go a run apart.
    for (let block = start / ACTIVATION_GROUP; block < last; ) {
      const [token, group] = [Math.floor(block / rowBlocks), block % rowBlocks];
      const groups = Math.min(rowBlocks - group, last - block);
      const target = blocks + (run.first * rowBlocks + group * run.count + token) * blockBytes;
      const stride = run.count * blockBytes;
      arena.kernels.quantizeActivations(source, Number(form === 'bytes'), target, stride, groups);
      source += groups * ACTIVATION_GROUP * 4;
      block += groups;
    }
  }

  #blocks(form: 'bytes' | 'words'): [address: number, blockBytes: number] {
    const { byteBlocks, wordBlocks } = this.#staging;
    return form === 'bytes' ? [byteBlocks, BYTE_BLOCK] : [wordBlocks, WORD_BLOCK];
  }

  #multiplyRun(x: Buffer, run: Run, { matrix, y, accumulate }: Target): void {
    let rowBase = 0;
    for (const piece of piecesOf(matrix, run)) {
      const [start, end] = this.lane.share(piece.rows, PANEL_ROWS);
      if (end > start)
        this.#multiplyRows(x, run, matrix, piece, start, end, y, rowBase + start, accumulate === true);
      rowBase += piece.rows;
    }
  }

  /** Rows [start, end) of one piece, written to columns `column`… of y. */
  #multiplyRows(
    x: Buffer,
    run: Run,
    matrix: Matrix,
    piece: Piece,
    start: number,
    end: number,
    y: Buffer,
    column: number,
    accumulate: boolean,
  ): void {
    const arena = this.lane.arenas[piece.arena]!;
    const away = piece.arena !== 0;
    const homeStride = y.columns * 4;
    const homeOut = y.offset + run.first * homeStride + column * 4;
    const bytes = (end - start) * 4;
    const out = away ? outputRegion(this.#staging, this.lane.rank) : homeOut;
    const stride = away ? bytes : homeStride;
    if (away && accumulate) {
      copyRows(this.lane.home, homeOut, homeStride, arena, out, stride, run.count, bytes);
    }
    const w =
      piece.offset + (matrix.form === 0 ? start * matrix.rowBytes : (start / PANEL_ROWS) * matrix.panelBytes);
    const { typeId, rowBytes, columns, blocks, group } = matrix;
    const form = activationForm(matrix, this.#greatestCode);
    if (form === 'floats') {
      const source = (away ? this.#staging.x : x.offset) + run.first * columns * 4;
      const { matmulFloat } = arena.kernels;
      const add = Number(accumulate);
      matmulFloat(
        typeId,
        w,
        rowBytes,
        end - start,
        columns,
        source,
        run.count,
        out,
        stride,
        add,
        arena.scratch,
      );
    } else if (matrix.form !== 0) {
      const [activations, blockBytes] = this.#blocks(form);
      arena.kernels.multiplyPanels(
        matrix.form,
        w,
        (end - start) / PANEL_ROWS,
        columns,
        activations + ((run.first * columns) / ACTIVATION_GROUP) * blockBytes,
        run.count,
        out,
        stride,
        Number(accumulate),
        arena.scratch,
      );
    } else {
      const [activations, blockBytes] = this.#blocks(form);
      arena.kernels.matmulQuantized(
        typeId,
        w,
        rowBytes,
        end - start,
        columns,
        blocks,
        group,
        Number(matrix.hasMins),
        matrix.minCode,
        matrix.maxCode,
        activations + ((run.first * columns) / ACTIVATION_GROUP) * blockBytes,
        run.count,
        out,
        stride,
        Number(accumulate),
        arena.scratch,
      );
    }
    if (away) copyRows(arena, out, stride, this.lane.home, homeOut, homeStride, run.count, bytes);
  }
}

function cutAlike(a: Matrix, b: Matrix, run: Run): boolean {
  const others = piecesOf(b, run);
  return piecesOf(a, run).every(({ rows }, i) => rows === others[i]?.rows);
}

function piecesOf(matrix: Matrix, run: Run): readonly Piece[] {
  if (run.pieces === Number.POSITIVE_INFINITY && run.piece === 0) return matrix.pieces;
  return matrix.pieces.slice(run.piece, run.piece + run.pieces);
}
