import { CriaError } from '../base/errors.js';
import { type GgmlType, ggmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat } from '../quant/index.js';
import type { Layout, PlannedTensor, RowPart } from './tensor-plan.js';
import { bytesOf, elementsOf, transposeStrip } from './transpose.js';

/** Bytes `[offset, offset + target.length)` of a stored tensor into `target`. */
export type ReadStored = (name: string, offset: number, target: Uint8Array) => Promise<void>;

/** Bytes read from the checkpoint at once. */
const STRIP_BYTES = 4 * 2 ** 20;
/** What transposed expert matrices may take together; one is kept whatever its size. */
const CACHE_BYTES = 128 * 2 ** 20;

/**
 * Reads rows of planned tensors, converting on the way. Memory is bounded by a strip of rows per call, and by the
 * transposed matrices of the experts read last: their columns become rows, so an expert is turned as a whole.
 */
export class RowReader {
  readonly #read: ReadStored;
  readonly #experts = new Map<string, Promise<Uint8Array>>();

  constructor(read: ReadStored) {
    this.#read = read;
  }

  /** Rows `[start, start + count)` in the type of the plan. Throws `non-finite-weights` naming the tensor. */
  async readRows(tensor: PlannedTensor, start: number, count: number, target: Uint8Array): Promise<void> {
    const { info, layout } = tensor;
    const columns = info.shape[0]!;
    const targetRow = rowBytes(info.type, columns);
    if (!(start >= 0) || (start + count) * targetRow > info.bytes || target.length !== count * targetRow) {
      const message = `rows ${start} to ${start + count} of ${info.name} do not fit ${target.length} bytes`;
      throw new CriaError('internal', 'bad-row-range', message);
    }
    try {
      if (layout.kind === 'values') {
        const values = layout.values.subarray(start * columns, (start + count) * columns);
        blockFormat(info.type).encode!(values, target, columns);
      } else if (layout.kind === 'transposed') {
        await this.#readTransposed(tensor, layout, start, count, target);
      } else {
        for (const { part, skip, rows, at } of overlapping(layout.parts, start, count)) {
          const slice = target.subarray((at - start) * targetRow, (at - start + rows) * targetRow);
          await this.#readPart(tensor, part, skip, rows, slice);
        }
      }
    } catch (error) {
      if (!(error instanceof CriaError) || error.code !== 'non-finite-weights') throw error;
      throw new CriaError(error.kind, error.code, `${info.name}: ${error.message}`, { cause: error });
    }
  }

  async #readTransposed(
    tensor: PlannedTensor,
    layout: Transposed,
    start: number,
    count: number,
    target: Uint8Array,
  ): Promise<void> {
    const { info } = tensor;
    const storedType = layout.type;
    const [columns, rowsPerExpert] = info.shape as [number, number];
    const storedRow = rowBytes(storedType, columns);
    const targetRow = rowBytes(info.type, columns);
    for (let done = 0; done < count; ) {
      const expert = Math.floor((start + done) / rowsPerExpert);
      const first = (start + done) % rowsPerExpert;
      const rows = Math.min(rowsPerExpert - first, count - done);
      const matrix = await this.#expert(tensor, layout, expert);
      const stored = matrix.subarray(first * storedRow, (first + rows) * storedRow);
      const slice = target.subarray(done * targetRow, (done + rows) * targetRow);
      convertRows(storedType, stored, info.type, slice, columns);
      done += rows;
    }
  }

  async #readPart(
    { info }: PlannedTensor,
    part: RowPart,
    skip: number,
    rows: number,
    target: Uint8Array,
  ): Promise<void> {
    const columns = info.shape[0]!;
    const storedType = part.type;
    const storedRow = rowBytes(storedType, columns);
    const first = part.firstRow + skip;
    if (storedType === info.type) {
      await this.#read(part.name, first * storedRow, target);
      return;
    }
    const targetRow = target.length / rows;
    const step = Math.min(rows, Math.max(1, Math.floor(STRIP_BYTES / storedRow)));
    const strip = new Uint8Array(step * storedRow);
    for (let row = 0; row < rows; row += step) {
      const now = Math.min(step, rows - row);
      const stored = strip.subarray(0, now * storedRow);
      await this.#read(part.name, (first + row) * storedRow, stored);
      const out = target.subarray(row * targetRow, (row + now) * targetRow);
      convertRows(storedType, stored, info.type, out, columns);
    }
  }

  /** One expert's matrix with columns turned into rows, in the stored type; shared by reads that follow closely. */
  #expert(tensor: PlannedTensor, layout: Transposed, expert: number): Promise<Uint8Array> {
    const key = `${tensor.info.name} ${expert}`;
    const cached = this.#experts.get(key);
    if (cached) return cached;
    const bytes = tensor.info.shape[1]! * rowBytes(layout.type, tensor.info.shape[0]!);
    const keep = Math.max(0, Math.floor(CACHE_BYTES / bytes) - 1);
    for (const old of [...this.#experts.keys()].slice(0, Math.max(0, this.#experts.size - keep))) {
      this.#experts.delete(old);
    }
    const matrix = this.#transpose(tensor, layout, expert);
    this.#experts.set(key, matrix);
    matrix.catch(() => this.#experts.delete(key));
    return matrix;
  }

  async #transpose({ info }: PlannedTensor, layout: Transposed, expert: number): Promise<Uint8Array> {
    const storedType = layout.type;
    const [columns, rows] = info.shape as [number, number];
    const size = ggmlType(storedType).typeSize;
    const result = elementsOf(storedType, rows * columns);
    const step = Math.min(columns, Math.max(1, Math.floor(STRIP_BYTES / (layout.width * size))));
    const strip = elementsOf(storedType, step * layout.width);
    for (let column = 0; column < columns; column += step) {
      const now = Math.min(step, columns - column);
      const source = strip.subarray(0, now * layout.width);
      const offset = (expert * columns + column) * layout.width * size;
      await this.#read(layout.name, offset, bytesOf(source));
      transposeStrip(source, layout.width, layout.firstColumn, rows, result, columns, column, now);
    }
    return bytesOf(result);
  }
}

type Transposed = Extract<Layout, { kind: 'transposed' }>;
function* overlapping(
  parts: readonly RowPart[],
  start: number,
  count: number,
): Generator<{ part: RowPart; skip: number; rows: number; at: number }> {
  let begin = 0;
  for (const part of parts) {
    const from = Math.max(start, begin);
    const to = Math.min(start + count, begin + part.rows);
    if (from < to) yield { part, skip: from - begin, rows: to - from, at: from };
    begin += part.rows;
  }
}

/** Decodes rows of one type and encodes them as another. */
export function convertRows(
  from: GgmlType,
  stored: Uint8Array,
  to: GgmlType,
  target: Uint8Array,
  columns: number,
): void {
  if (from === to) {
    target.set(stored);
    return;
  }
  const stepRows = Math.max(1, Math.floor(STRIP_BYTES / (4 * columns)));
  const storedRow = rowBytes(from, columns);
  const targetRow = rowBytes(to, columns);
  const rows = stored.length / storedRow;
  const values = new Float32Array(Math.min(rows, stepRows) * columns);
  for (let row = 0; row < rows; row += stepRows) {
    const now = Math.min(stepRows, rows - row);
    const floats = values.subarray(0, now * columns);
    blockFormat(from).decode(stored.subarray(row * storedRow, (row + now) * storedRow), floats);
    blockFormat(to).encode!(floats, target.subarray(row * targetRow, (row + now) * targetRow), columns);
  }
}
