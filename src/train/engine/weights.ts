import { copyRows } from '../../engine/buffers.js';
import type { Matrix, Piece } from '../../engine/matrix.js';
import type { TrainKernels } from '../kernels.js';
import type { LaneScratch } from './lane-scratch.js';
import type { TrainingLane } from './tape.js';

/** Rows of floats in the home arena, `columns` apart. */
export interface Strided {
  readonly address: number;
  readonly columns: number;
}

/** Products with weights in any arena and of any type, as floats. */
export class Weights {
  readonly #lane: TrainingLane;
  readonly #kernels: TrainKernels;
  readonly #layout: LaneScratch;

  constructor(lane: TrainingLane, kernels: TrainKernels, layout: LaneScratch) {
    this.#lane = lane;
    this.#kernels = kernels;
    this.#layout = layout;
  }

  /** Address of this lane's scratch for kernels. */
  get scratch(): number {
    return this.#lane.home.scratch + this.#layout.kernels;
  }

  /**
   * y[t][r] (+)= Σ x[t][c] w[first + r][c] of a piece's rows.
   * @param x, y the first of `tokens` rows, and where in them to begin
   */
  product(
    matrix: Matrix,
    piece: Piece,
    [first, rows]: readonly [number, number],
    x: Strided,
    y: Strided,
    tokens: number,
    accumulate: boolean,
  ): void {
    const { columns } = matrix;
    this.#eachBlock(matrix, piece, first, rows, (w, from, count) => {
      const target = y.address + (from - first) * 4;
      this.#kernels.productNT(
        x.address,
        x.columns,
        w,
        columns,
        target,
        y.columns,
        tokens,
        count,
        columns,
        Number(accumulate),
        this.scratch,
      );
    });
  }

  /** dx[t][c] (+)= Σ dy[t][r] w[first + r][c]; else as `product`. */
  productBack(
    matrix: Matrix,
    piece: Piece,
    [first, rows]: readonly [number, number],
    dy: Strided,
    dx: Strided,
    tokens: number,
    accumulate: boolean,
  ): void {
    const { columns } = matrix;
    this.#eachBlock(matrix, piece, first, rows, (w, from, count) => {
      const source = dy.address + (from - first) * 4;
      this.#kernels.productNN(
        source,
        dy.columns,
        w,
        columns,
        dx.address,
        dx.columns,
        tokens,
        count,
        columns,
        Number(accumulate || from > first),
        this.scratch,
      );
    });
  }

  /**
   * gradient[first + r][c] += Σ dy[t][r] x[t][c] for this lane's part of the rows or columns.
   * @param at the address of the gradient of the piece's first row
   */
  addGradient(
    piece: Piece,
    columns: number,
    at: number,
    [first, rows]: readonly [number, number],
    dy: Strided,
    x: Strided,
    tokens: number,
  ): void {
    // The longer side is cut: what the lanes then pack twice is least.
    if (rows < columns && piece.arena === 0) {
      const [start, end] = this.#lane.share(columns, 16);
      if (end <= start) return;
      const target = at + (first * columns + start) * 4;
      const source = x.address + start * 4;
      this.#addProducts(dy, { ...x, address: source }, target, columns, tokens, rows, end - start);
      return;
    }
    const [start, end] = this.#lane.share(rows, 4);
    if (end <= start) return;
    const ownDy = { ...dy, address: dy.address + start * 4 };
    const target = at + (first + start) * columns * 4;
    if (piece.arena === 0) {
      this.#addProducts(ownDy, x, target, columns, tokens, end - start, columns);
      return;
    }
    const { home, arenas } = this.#lane;
    const arena = arenas[piece.arena]!;
    const room = home.scratch + this.#layout.weights;
    const most = Math.floor(this.#layout.weightBytes / (4 * columns));
    for (let row = start; row < end; row += most) {
      const count = Math.min(most, end - row);
      const there = at + (first + row) * columns * 4;
      copyRows(arena, there, 0, home, room, 0, 1, count * columns * 4);
      const blockDy = { ...dy, address: dy.address + row * 4 };
      this.#addProducts(blockDy, x, room, columns, tokens, count, columns);
      copyRows(home, room, 0, arena, there, 0, 1, count * columns * 4);
    }
  }

  #addProducts(
    dy: Strided,
    x: Strided,
    target: number,
    stride: number,
    tokens: number,
    rows: number,
    columns: number,
  ): void {
    const { productTN } = this.#kernels;
    productTN(
      dy.address,
      dy.columns,
      x.address,
      x.columns,
      target,
      stride,
      tokens,
      rows,
      columns,
      this.scratch,
    );
  }

  /** Adds a row at home to one in an arena. */
  addRow(arenaIndex: number, target: number, row: number, columns: number): void {
    const { home, arenas } = this.#lane;
    const arena = arenas[arenaIndex]!;
    let from = row;
    if (arenaIndex !== 0) {
      from = arena.scratch + this.#layout.row;
      copyRows(home, row, 0, arena, from, 0, 1, columns * 4);
    }
    arena.kernels.add(from, target, columns);
  }

  /** Rows of a piece as floats at `target`, in the home arena. */
  unpackRows(matrix: Matrix, piece: Piece, first: number, rows: number, target: number): void {
    const { home, arenas } = this.#lane;
    const { columns, rowBytes, typeId, blocks, group, hasMins } = matrix;
    const arena = arenas[piece.arena]!;
    const source = piece.offset + first * rowBytes;
    const bytes = rows * columns * 4;
    if (matrix.type === 'F32') {
      copyRows(arena, source, 0, home, target, 0, 1, bytes);
      return;
    }
    const away = piece.arena !== 0;
    const room = away ? arena.scratch + this.#layout.weights : target;
    if (matrix.float) arena.kernels.unpackFloat(typeId, source, room, rows * columns);
    else {
      const scratch = arena.scratch + this.#layout.dequantize;
      for (let i = 0; i < rows; i++) {
        const to = room + i * columns * 4;
        arena.kernels.dequantizeRow(
          typeId,
          source + i * rowBytes,
          to,
          columns,
          blocks,
          group,
          Number(hasMins),
          scratch,
        );
      }
    }
    if (away) copyRows(arena, room, 0, home, target, 0, 1, bytes);
  }

  /** Runs through rows of a piece as floats at home: where they are, or made so in scratch. */
  #eachBlock(
    matrix: Matrix,
    piece: Piece,
    first: number,
    rows: number,
    use: (address: number, first: number, rows: number) => void,
  ): void {
    if (matrix.type === 'F32' && piece.arena === 0) {
      use(piece.offset + first * matrix.rowBytes, first, rows);
      return;
    }
    const room = this.#lane.home.scratch + this.#layout.weights;
    const most = Math.floor(this.#layout.weightBytes / (4 * matrix.columns));
    // Whole blocks of the kernels' sums, where there is room: so they are the same as without a cut.
    const step = most >= 256 ? Math.floor(most / 256) * 256 : most;
    for (let row = first; row < first + rows; row += step) {
      const count = Math.min(step, first + rows - row);
      this.unpackRows(matrix, piece, row, count, room);
      use(room, row, count);
    }
  }
}
