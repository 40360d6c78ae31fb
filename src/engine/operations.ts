import type { Address } from './arena-plan.js';
import type { Arena, Lane } from './lane.js';
import type { InputSquares, Matrix, Piece } from './matrix.js';

/** Floats `[rows][columns]` in the home arena. */
export interface Buffer {
  readonly offset: number;
  readonly columns: number;
}

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

/** Addresses, equal in every arena, where activations are put beside the weights that need them. */
export interface Staging {
  /** f32 [tokens][columns] */
  readonly x: number;
  /** Quantized, in blocks of bytes or of words `[columns / 32][tokens of the run]`: see assembly/activations.ts */
  readonly byteBlocks: number;
  readonly wordBlocks: number;
  /** Results on their way home: a region per lane, `laneOutputBytes` apart. */
  readonly y: number;
  readonly laneOutputBytes: number;
}

/** Keys and values of one layer. */
export interface LayerCache {
  /** Element type as the kernels take it: 0 f32, 1 f16. */
  readonly typeId: 0 | 1;
  readonly rowBytes: number;
  /** Positions it holds. */
  readonly capacity: number;
  /** Per key/value head: keys `[capacity][dim]`, then values `[capacity][dim]`, in one arena. */
  readonly heads: readonly Address[];
}

/** Rows of a matrix are shared out in multiples of what one panel of the product kernels takes. */
const PANEL_ROWS = 8;
/** Columns of an activation block, and its bytes in both forms: see assembly/activations.ts. */
export const ACTIVATION_GROUP = 32;
export const BYTE_BLOCK = 48;
export const WORD_BLOCK = 80;
/** Queries that share one pass over the keys. */
export const ATTENTION_TOKENS = 16;

/** Bytes of scratch a lane needs for products with up to `columns` columns and heads of `headDim`. */
export function laneScratchBytes(columns: number, headDim: number, headsPerKv: number): number {
  const products = Math.max(64 * columns + 128, 24 * columns + 8192);
  const quads = Math.ceil((headsPerKv * ATTENTION_TOKENS) / 4);
  const attention = 4 * (64 * headDim + 192 + quads * 8 * (headDim + 1));
  return Math.max(products, attention);
}

/** Rows of a matrix that one of `lanes` lanes computes, at most. */
export function laneRows(rows: number, lanes: number): number {
  return Math.ceil(Math.ceil(rows / PANEL_ROWS) / lanes) * PANEL_ROWS;
}

type ActivationForm = 'floats' | 'bytes' | 'words';

/** What the kernels multiply a matrix with; they take bytes for codes less than 128 apart. */
function activationForm({ float, minCode, maxCode }: Matrix): ActivationForm {
  if (float) return 'floats';
  return maxCode - minCode < 128 ? 'bytes' : 'words';
}

/** All tokens against all rows of each matrix. */
export function everyToken(count: number): Run[] {
  return [{ first: 0, count, piece: 0, pieces: Number.POSITIVE_INFINITY }];
}

/**
 * The steps a network is made of, each run by all lanes together on their shares. Every operation expects its inputs
 * complete on entry (a barrier since they were written) and ends with a barrier unless its text says otherwise.
 */
export class Operations {
  readonly lane: Lane;
  readonly #staging: Staging;

  constructor(lane: Lane, staging: Staging) {
    this.lane = lane;
    this.#staging = staging;
  }

  /** Rows of an embedding matrix as floats: y[i] = matrix[ids[i]]. */
  embed(matrix: Matrix, ids: Int32Array, y: Buffer): void {
    const [start, end] = this.lane.share(ids.length);
    for (let i = start; i < end; i++) {
      let row = ids[i]!;
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

  /** y = x / rms(x) × weight, token by token; `weight` is the address of a vector in the home arena. */
  rmsNorm(x: Buffer, weight: number, y: Buffer, tokens: number, eps: number): void {
    const { kernels } = this.lane.home;
    const [start, end] = this.lane.share(tokens);
    const rowBytes = x.columns * 4;
    for (let t = start; t < end; t++) {
      kernels.rmsNorm(x.offset + t * rowBytes, weight, y.offset + t * rowBytes, x.columns, eps);
    }
    this.lane.barrier();
  }

  /** y[t] (+)= matrix × x[t] for every target, all of which read the same `x`. */
  multiply(x: Buffer, runs: readonly Run[], targets: readonly Target[]): void {
    let staged = false;
    for (const run of runs) staged = this.#stage(x, run, targets) || staged;
    const squares = targets[0]?.matrix.inputSquares;
    if (squares) this.measure(x, runs, squares);
    if (staged) this.lane.barrier();
    for (const run of runs) {
      for (const target of targets) this.#multiplyRun(x, run, target);
    }
    this.lane.barrier();
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

  /** gate = silu(gate) × up over `rows` rows. */
  siluMultiply(gate: Buffer, up: Buffer, rows: number): void {
    const [start, end] = this.lane.share(rows * gate.columns, 64);
    const { kernels } = this.lane.home;
    if (end > start) kernels.siluMultiply(gate.offset + start * 4, up.offset + start * 4, end - start);
    this.lane.barrier();
  }

  /** Writes keys and values of `tokens` tokens at cache positions `position`… Ends without a barrier. */
  storeCache(cache: LayerCache, k: Buffer, v: Buffer, token: number, position: number): void {
    const dim = k.columns / cache.heads.length;
    for (const [head, address] of cache.heads.entries()) {
      const from = (token * k.columns + head * dim) * 4;
      this.#storeRow(cache, address, k.offset + from, position, dim);
      this.#storeRow(cache, address, v.offset + from, cache.capacity + position, dim);
    }
  }

  /** Causal attention: query t of `tokens` sees cache positions 0 … past + t. */
  attention(cache: LayerCache, q: Buffer, out: Buffer, tokens: number, past: number): void {
    const kvHeads = cache.heads.length;
    const width = q.columns / kvHeads;
    const dim = cache.rowBytes / (cache.typeId === 0 ? 4 : 2);
    const blocks = Math.ceil(tokens / ATTENTION_TOKENS);
    const stride = q.columns * 4;
    for (let unit = this.lane.rank; unit < kvHeads * blocks; unit += this.lane.size) {
      const head = unit % kvHeads;
      const first = Math.floor(unit / kvHeads) * ATTENTION_TOKENS;
      const count = Math.min(ATTENTION_TOKENS, tokens - first);
      const keys = cache.heads[head]!;
      const arena = this.lane.arenas[keys.arena]!;
      const at = (first * q.columns + head * width) * 4;
      const away = keys.arena !== 0;
      const bytes = width * 4;
      const source = (away ? this.#staging.x : q.offset) + at;
      const target = away ? this.#outputRegion() : out.offset + at;
      const targetStride = away ? bytes : stride;
      if (away) copyRows(this.lane.home, q.offset + at, stride, arena, source, stride, count, bytes);
      const { attend } = arena.kernels;
      attend(
        cache.typeId,
        source,
        stride,
        width / dim,
        count,
        dim,
        keys.offset,
        keys.offset + cache.capacity * cache.rowBytes,
        past + first,
        target,
        targetStride,
        arena.scratch,
      );
      if (away) copyRows(arena, target, bytes, this.lane.home, out.offset + at, stride, count, bytes);
    }
    this.lane.barrier();
  }

  /** Puts a run's activations, in the forms its targets need, into their arenas; true when anything was written. */
  #stage(x: Buffer, run: Run, targets: readonly Target[]): boolean {
    const done = new Set<string>();
    for (const { matrix } of targets) {
      for (const piece of piecesOf(matrix, run)) {
        if (matrix.float && piece.arena === 0) continue;
        const form = activationForm(matrix);
        const key = `${piece.arena} ${form}`;
        if (done.has(key)) continue;
        done.add(key);
        this.#stageRun(x, run, piece.arena, form);
      }
    }
    return done.size > 0;
  }

  #stageRun(x: Buffer, run: Run, arenaIndex: number, form: ActivationForm): void {
    const arena = this.lane.arenas[arenaIndex]!;
    const base = run.first * x.columns;
    const [start, end] = this.lane.share(run.count * x.columns, 32);
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
    const out = away ? this.#outputRegion() : homeOut;
    const stride = away ? bytes : homeStride;
    if (away && accumulate) {
      copyRows(this.lane.home, homeOut, homeStride, arena, out, stride, run.count, bytes);
    }
    const w = piece.offset + start * matrix.rowBytes;
    const { typeId, rowBytes, columns, blocks, group } = matrix;
    const form = activationForm(matrix);
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

  #storeRow(cache: LayerCache, address: Address, source: number, row: number, dim: number): void {
    const arena = this.lane.arenas[address.arena]!;
    let from = source;
    if (address.arena !== 0) {
      from = arena.scratch;
      arena.u8.set(this.lane.home.u8.subarray(source, source + dim * 4), from);
    }
    arena.kernels.storeCache(cache.typeId, from, address.offset + row * cache.rowBytes, dim);
  }

  /** Where this lane puts results that it then copies home; no other lane writes there. */
  #outputRegion(): number {
    return this.#staging.y + this.lane.rank * this.#staging.laneOutputBytes;
  }
}

/** Copies `count` rows of `bytes` bytes between arenas. */
function copyRows(
  from: Arena,
  source: number,
  sourceStride: number,
  to: Arena,
  target: number,
  targetStride: number,
  count: number,
  bytes: number,
): void {
  for (let i = 0; i < count; i++) {
    const start = source + i * sourceStride;
    to.u8.set(from.u8.subarray(start, start + bytes), target + i * targetStride);
  }
}

function piecesOf(matrix: Matrix, run: Run): readonly Piece[] {
  return matrix.pieces.slice(run.piece, run.piece + run.pieces);
}
