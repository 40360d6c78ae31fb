import { Attention, attentionScratchBytes } from './attention.js';
import type { Buffer, Staging } from './buffers.js';
import type { Lane } from './lane.js';
import type { Matrix } from './matrix.js';
import { Products } from './products.js';

/** Bytes of scratch a lane needs for products with up to `columns` columns and heads of `headDim`. */
export function laneScratchBytes(columns: number, headDim: number, headsPerKv: number): number {
  const products = Math.max(64 * columns + 128, 24 * columns + 8192);
  return Math.max(products, attentionScratchBytes(headsPerKv, headDim));
}

/**
 * The steps a network is made of, each run by all lanes together on their shares. Every operation expects its inputs
 * complete on entry (a barrier since they were written) and ends with a barrier unless its text says otherwise.
 */
export class Operations {
  readonly lane: Lane;
  readonly products: Products;
  readonly attention: Attention;
  readonly #staging: Staging;

  constructor(lane: Lane, staging: Staging) {
    this.lane = lane;
    this.products = new Products(lane, staging);
    this.attention = new Attention(lane, staging);
    this.#staging = staging;
  }

  /** Rows of an embedding matrix as floats: y[i] = matrix[ids[i]]; rows with a negative id stay as they are. */
  embed(matrix: Matrix, ids: Int32Array, y: Buffer): void {
    const [start, end] = this.lane.share(ids.length);
    for (let i = start; i < end; i++) {
      let row = ids[i]!;
      if (row < 0) continue;
      let p = 0;
      for (; row >= matrix.pieces[p]!.rows; p++) row -= matrix.pieces[p]!.rows;
      const piece = matrix.pieces[p]!;
      const { kernels, u8, scratch } = this.lane.arenas[piece.arena]!;
      const source = piece.offset + row * matrix.rowBytes;
      const target = y.offset + i * y.columns * 4;
      const out = piece.arena === 0 ? target : this.#staging.x + i * y.columns * 4;
      if (matrix.float) kernels.unpackFloat(matrix.typeId, source, out, matrix.columns);
      else {
        const { typeId, columns, blocks, group } = matrix;
        kernels.dequantizeRow(typeId, source, out, columns, blocks, group, Number(matrix.hasMins), scratch);
      }
      if (piece.arena !== 0) this.lane.home.u8.set(u8.subarray(out, out + y.columns * 4), target);
    }
    this.lane.barrier();
  }

  /**
   * y = x / rms(x) × weight, token by token; `weight` is the address of a vector in the home arena, `y` another buffer
   * than `x`.
   */
  rmsNorm(x: Buffer, weight: number, y: Buffer, tokens: number, eps: number): void {
    const { kernels } = this.lane.home;
    const divided = this.lane.divides(tokens * x.columns);
    const [start, end] = divided ? this.lane.share(tokens) : [0, tokens];
    const rowBytes = x.columns * 4;
    for (let t = start; t < end; t++) {
      kernels.rmsNorm(x.offset + t * rowBytes, weight, y.offset + t * rowBytes, x.columns, eps);
    }
    if (divided) this.lane.barrier();
  }
}
