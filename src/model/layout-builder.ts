import { CriaError } from '../base/errors.js';
import { type ArenaPlan, planArenas } from '../engine/arena-plan.js';
import type { Buffer } from '../engine/buffers.js';
import type { InputSquares, Matrix, Piece } from '../engine/matrix.js';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { PANEL_ROWS, packedForm, packedPanelBytes, type RepackMode } from '../quant/packed-layout.js';
import { codeRange, hasMins, unpackedGroup } from '../quant/unpacked-layout.js';

/** A tensor's place: pieces for matrices, one home address for vectors. */
export interface Placement {
  readonly info: TensorInfo;
  readonly pieces: readonly Piece[];
  /** As in Matrix. */
  readonly form: number;
  readonly panelBytes: number;
}

/** Pieces larger than this are cut, so that arenas fill up evenly. */
const MAX_PIECE_BYTES = 2 ** 30;

/**
 * Collects what a model needs room for, then settles all addresses at once: sizes first, addresses after. What the
 * methods return has its addresses only once `settle` was called.
 */
export class LayoutBuilder {
  readonly vectors: { info: TensorInfo; offset: number }[] = [];
  readonly matrices: Placement[] = [];
  /** By tensor name; empty unless `collect`. */
  readonly inputSquares = new Map<string, InputSquares>();
  readonly #tensors: ReadonlyMap<string, TensorInfo>;
  readonly #collect: boolean;
  readonly #repack: RepackMode;
  #weightBytes = 0;
  readonly #blockBytes: number[] = [];
  readonly #homeBytes: number[] = [];
  readonly #later: ((arenas: ArenaPlan) => void)[] = [];
  readonly #besides: (name: string, elements: number) => number;

  /**
   * @param repack what `matrix` does with types that have packed forms
   * @param besides bytes that are to follow each piece of a tensor, or of `floatMatrix`, with so many elements
   */
  constructor(
    tensors: ReadonlyMap<string, TensorInfo>,
    collect: boolean,
    repack: RepackMode = 'off',
    besides: (name: string, elements: number) => number = () => 0,
  ) {
    this.#tensors = tensors;
    this.#collect = collect;
    this.#repack = repack;
    this.#besides = besides;
  }

  /** Bytes of the matrices so far, as they are laid out. */
  get weightBytes(): number {
    return this.#weightBytes;
  }

  /** Bytes of the widest row, in blocks, of the matrices that are packed. */
  get widestPackedRow(): number {
    return this.matrices.reduce(
      (widest, { info, form }) =>
        form === 0 ? widest : Math.max(widest, rowBytes(info.type, info.shape[0]!)),
      0,
    );
  }

  /** A tensor of the network as F32 in the home arena. Throws `missing-tensor`, `bad-tensor-shape`. */
  vector(name: string, length: number): { readonly offset: number } {
    const placed = { info: this.#tensor(name, [length]), offset: 0 };
    this.#atHome(length * 4 + this.#besides(name, length), placed);
    this.vectors.push(placed);
    return placed;
  }

  /**
   * A weight matrix [rows][columns], or `experts` of them. Throws as `vector` does.
   * @param repack other than the builder's, for matrices that are not only multiplied with
   */
  matrix(
    name: string,
    columns: number,
    rows: number,
    squares?: InputSquares,
    experts?: number,
    repack: RepackMode = this.#repack,
  ): Matrix {
    if (squares) this.inputSquares.set(name, squares);
    const info = this.#tensor(name, experts === undefined ? [columns, rows] : [columns, rows, experts]);
    const bytesPerRow = rowBytes(info.type, columns);
    const pieceRows =
      experts === undefined
        ? cutRows(rows, bytesPerRow + this.#besides(name, columns))
        : new Array<number>(experts).fill(rows);
    const form = rows % PANEL_ROWS === 0 ? packedForm(info.type, repack) : 0;
    const panelBytes = form === 0 ? 0 : packedPanelBytes(form, columns);
    const placedBytesPerRow = form === 0 ? bytesPerRow : panelBytes / PANEL_ROWS;
    const pieces = this.pieces(placedBytesPerRow, pieceRows, (count) => this.#besides(name, count * columns));
    this.#weightBytes += pieceRows.reduce((sum, count) => sum + count * placedBytesPerRow, 0);
    this.matrices.push({ info, pieces, form, panelBytes });
    return { ...blockMatrix(info, pieces, squares), form, panelBytes };
  }

  /** As `matrix`, for experts that get no place of their own: their pieces have rows but no address. */
  unplacedExperts(
    name: string,
    columns: number,
    rows: number,
    squares: InputSquares | undefined,
    experts: number,
  ): Matrix {
    if (squares) this.inputSquares.set(name, squares);
    const info = this.#tensor(name, [columns, rows, experts]);
    const pieces = Array.from({ length: experts }, () => ({ rows, arena: 0, offset: 0 }));
    return blockMatrix(info, pieces, squares);
  }

  /** An F32 matrix [rows][columns], or `experts` of them, that is no tensor of the model: in the home arena, or any. */
  floatMatrix(name: string, columns: number, rows: number, experts: number, atHome: boolean): Matrix {
    const bytes = 4 * columns * rows * experts;
    this.#weightBytes += bytes;
    const info = { name, type: 'F32', shape: [columns, rows, experts], bytes } as const;
    if (!atHome) {
      const besides = (count: number) => this.#besides(name, count * columns);
      return blockMatrix(info, this.pieces(4 * columns, new Array<number>(experts).fill(rows), besides));
    }
    const pieces = Array.from({ length: experts }, () => ({ rows, arena: 0, offset: 0 }));
    for (const piece of pieces) this.#atHome(4 * columns * rows, piece);
    return blockMatrix(info, pieces);
  }

  /** Runs of rows, each in one arena, any arena. @param besides bytes that follow so many rows */
  pieces(
    bytesPerRow: number,
    pieceRows: readonly number[],
    besides: (rows: number) => number = () => 0,
  ): Piece[] {
    return pieceRows.map((rows) => {
      const piece = { rows, arena: 0, offset: 0 };
      const index = this.#blockBytes.push(rows * bytesPerRow + besides(rows)) - 1;
      this.#later.push(({ blocks }) => {
        Object.assign(piece, blocks[index]);
      });
      return piece;
    });
  }

  /** Room to measure the inputs of products with `matrices` matrices; none unless collecting. */
  squares(columns: number, matrices = 1): InputSquares | undefined {
    if (!this.#collect) return undefined;
    const placed = { offset: 0, columns, matrices };
    this.#atHome(8 * matrices * (columns + 1), placed);
    return placed;
  }

  /** Floats [rows][columns] in the home arena. */
  buffer(rows: number, columns: number): Buffer {
    const placed = { offset: 0, columns };
    this.#atHome(Math.max(1, rows * columns) * 4, placed);
    return placed;
  }

  /** Fixes every address, with blocks of `common` bytes at the same place in every arena. */
  settle(common: readonly number[], limit?: number): ArenaPlan {
    const request = { common, home: this.#homeBytes, blocks: this.#blockBytes };
    const arenas = planArenas(limit === undefined ? request : { ...request, limit });
    for (const set of this.#later) set(arenas);
    return arenas;
  }

  #atHome(bytes: number, placed: { offset: number }): void {
    const index = this.#homeBytes.push(bytes) - 1;
    this.#later.push(({ home }) => {
      placed.offset = home[index]!;
    });
  }

  #tensor(name: string, shape: readonly number[]): TensorInfo {
    const info = this.#tensors.get(name);
    if (!info) throw new CriaError('bad-file', 'missing-tensor', `the model has no tensor '${name}'`);
    const found = info.shape.length < shape.length ? [...info.shape, 1] : info.shape;
    if (found.length !== shape.length || found.some((n, i) => n !== shape[i])) {
      throw new CriaError(
        'bad-file',
        'bad-tensor-shape',
        `tensor '${name}' has shape [${info.shape.join(', ')}], expected [${shape.join(', ')}]`,
      );
    }
    return info;
  }
}

/** A matrix in the blocks that its tensor has in the file. */
function blockMatrix(info: TensorInfo, pieces: readonly Piece[], inputSquares?: InputSquares): Matrix {
  const { id, blockSize } = ggmlType(info.type);
  const columns = info.shape[0]!;
  const float = blockSize === 1;
  return {
    name: info.name,
    type: info.type,
    typeId: id,
    columns,
    rowBytes: rowBytes(info.type, columns),
    form: 0,
    panelBytes: 0,
    blocks: columns / blockSize,
    float,
    group: float ? 0 : unpackedGroup(info.type),
    hasMins: !float && hasMins(info.type),
    minCode: float ? 0 : codeRange(info.type).min,
    maxCode: float ? 0 : codeRange(info.type).max,
    pieces,
    inputSquares,
  };
}

/** Row counts of the pieces of a matrix, each below MAX_PIECE_BYTES. */
function cutRows(rows: number, bytesPerRow: number): number[] {
  const perPiece = Math.max(8, Math.floor(MAX_PIECE_BYTES / bytesPerRow / 8) * 8);
  const pieces: number[] = [];
  for (let start = 0; start < rows; start += perPiece) pieces.push(Math.min(perPiece, rows - start));
  return pieces;
}
