import type { LoraTensor } from '../convert/lora/adapter.js';
import type { Buffer } from '../engine/buffers.js';
import type { Matrix } from '../engine/matrix.js';
import type { LayoutBuilder } from './layout-builder.js';

/** What planning needs of an adapter. */
export interface PlannedAdapter {
  readonly tensors: ReadonlyMap<string, LoraTensor>;
}

/** Columns `[first, first + rank)` of A x that belong to one adapter. */
export interface AdapterPart {
  readonly adapter: number;
  readonly first: number;
  readonly rank: number;
}

/** The factors of all adapters of one weight, side by side; B holds each adapter's own scale. */
export interface MatrixAdapters {
  /** `[experts][width][columns]` */
  readonly a: Matrix;
  /** `[experts][rows][width]` */
  readonly b: Matrix;
  /** Ranks of the parts together, and zeros up to a multiple of 4. */
  readonly width: number;
  readonly parts: readonly AdapterPart[];
}

/** Where adapters are in memory; the same in every worker, and structured-cloneable. */
export interface AdapterLayout {
  readonly count: number;
  /** By the name of the weight. */
  readonly matrices: ReadonlyMap<string, MatrixAdapters>;
  /** f32 `[sequences][adapters]`: how much of each adapter a sequence gets. */
  readonly scales: Buffer;
  /** Room for A x of matrices that are multiplied with the same x. */
  readonly products: readonly Buffer[];
}

/** Query, key and value are the most that share an input. */
const SHARED_INPUT = 3;
/** What the kernels of float products go by. */
const COLUMN_MULTIPLE = 4;

/** Widest A x of the adapters; 0 without any. */
export function adapterWidth(adapters: readonly PlannedAdapter[]): number {
  const names = new Set(adapters.flatMap(({ tensors }) => [...tensors.keys()]));
  return Math.max(0, ...[...names].map((name) => widthOf(partsOf(adapters, name))));
}

export interface AdapterRequest {
  readonly adapters: readonly PlannedAdapter[];
  readonly sequences: number;
  /** Most rows of one product. */
  readonly rows: number;
  /** Factors go to the home arena if they fit these bytes together: products with them are fastest there. */
  readonly homeBytes: number;
}

/** Makes room for adapters that fit the model. */
export function planAdapters(
  { adapters, sequences, rows, homeBytes }: AdapterRequest,
  builder: LayoutBuilder,
): AdapterLayout {
  const atHome = factorBytes(adapters) <= homeBytes;
  const matrices = new Map<string, MatrixAdapters>();
  for (const { tensors } of adapters) {
    for (const { name, columns, rows: outputs, experts } of tensors.values()) {
      if (matrices.has(name)) continue;
      const parts = partsOf(adapters, name);
      const width = widthOf(parts);
      const a = builder.floatMatrix(`${name}.lora_a`, columns, width, experts, atHome);
      const b = builder.floatMatrix(`${name}.lora_b`, width, outputs, experts, atHome);
      matrices.set(name, { a, b, width, parts });
    }
  }
  const widest = adapterWidth(adapters);
  return {
    count: adapters.length,
    matrices,
    scales: builder.buffer(sequences, adapters.length),
    products: Array.from({ length: SHARED_INPUT }, () => builder.buffer(rows, widest)),
  };
}

/** Bytes of all factors, without what ranks are rounded up by. */
function factorBytes(adapters: readonly PlannedAdapter[]): number {
  return adapters
    .flatMap(({ tensors }) => [...tensors.values()])
    .reduce((sum, { columns, rows, rank, experts }) => sum + 4 * experts * rank * (columns + rows), 0);
}

function partsOf(adapters: readonly PlannedAdapter[], name: string): AdapterPart[] {
  const parts: AdapterPart[] = [];
  let first = 0;
  for (const [adapter, { tensors }] of adapters.entries()) {
    const rank = tensors.get(name)?.rank;
    if (rank === undefined) continue;
    parts.push({ adapter, first, rank });
    first += rank;
  }
  return parts;
}

function widthOf(parts: readonly AdapterPart[]): number {
  const { first, rank } = parts.at(-1)!;
  return Math.ceil((first + rank) / COLUMN_MULTIPLE) * COLUMN_MULTIPLE;
}
