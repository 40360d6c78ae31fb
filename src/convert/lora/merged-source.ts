import { type GgmlType, ggmlType, rowBytes } from '../../formats/ggml-types.js';
import type { TensorInfo, TensorSource } from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { tensorInfo } from '../tensor-plan.js';
import type { LoraTensor, LoraWeights, ScaledAdapter } from './adapter.js';

export interface MergeOptions {
  /**
   * Type of weights that the adapters change; `auto` (default) keeps theirs, or makes them BF16 where they are
   * quantized: what was rounded before has to be rounded anew.
   */
  readonly type?: 'auto' | 'f32' | 'f16' | 'bf16';
  /** Make every quantized tensor a float one, as checkpoints need; default: those that change. */
  readonly floatsOnly?: boolean;
}

/** Rows decoded, changed and encoded at once take about as many bytes of floats. */
const STRIP_BYTES = 4 * 2 ** 20;

/**
 * A model with adapters merged into its weights, W + Σ scale · B A, while they are read: for writing, quantizing or
 * loading it like any other. Adapters have to fit (`checkAdapter`). Memory is bounded by the factors of one tensor.
 * Closing it closes the model, not the adapters.
 */
export function mergedSource(
  source: TensorSource,
  adapters: readonly ScaledAdapter[],
  { type = 'auto', floatsOnly = false }: MergeOptions = {},
): TensorSource {
  const tensors = new Map<string, TensorInfo>();
  for (const info of source.tensors.values()) {
    const changed = adapters.some(({ adapter }) => adapter.tensors.has(info.name));
    const target = changed
      ? mergedType(info.type, type)
      : floatsOnly
        ? mergedType(info.type, 'auto')
        : info.type;
    tensors.set(info.name, target === info.type ? info : tensorInfo(info.name, info.shape, target));
  }
  const metadata = new Map(source.metadata);
  // It would name what most weights were before; readers work it out where it is missing.
  if ([...tensors].some(([name, info]) => info !== source.tensors.get(name)))
    metadata.delete('general.file_type');
  return new MergedSource(source, adapters, metadata, tensors);
}

function mergedType(stored: GgmlType, wanted: MergeOptions['type']): GgmlType {
  if (wanted === 'f32' || stored === 'F32') return 'F32';
  if (wanted === 'f16') return 'F16';
  if (wanted === 'bf16') return 'BF16';
  return ggmlType(stored).blockSize === 1 ? stored : 'BF16';
}

/** What is added to one tensor, its factor included. */
interface Change extends LoraWeights {
  readonly tensor: LoraTensor;
  readonly scale: number;
}

class MergedSource implements TensorSource {
  readonly path: string;
  readonly metadata: TensorSource['metadata'];
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #source: TensorSource;
  readonly #adapters: readonly ScaledAdapter[];
  /** Of the tensor read last. */
  #changes: { readonly name: string; readonly read: Promise<Change[]> } | undefined;

  constructor(
    source: TensorSource,
    adapters: readonly ScaledAdapter[],
    metadata: TensorSource['metadata'],
    tensors: ReadonlyMap<string, TensorInfo>,
  ) {
    this.path = source.path;
    this.metadata = metadata;
    this.tensors = tensors;
    this.#source = source;
    this.#adapters = adapters;
  }

  async readRows(name: string, start: number, count: number, target: Uint8Array): Promise<void> {
    const info = this.tensors.get(name);
    const stored = this.#source.tensors.get(name);
    const changed = this.#adapters.some(({ adapter }) => adapter.tensors.has(name));
    if (!info || !stored || (!changed && info === stored)) {
      return this.#source.readRows(name, start, count, target);
    }
    const changes = changed ? await this.#changesOf(name) : [];
    const columns = info.shape[0]!;
    const from = rowBytes(stored.type, columns);
    const to = rowBytes(info.type, columns);
    const step = Math.max(1, Math.floor(STRIP_BYTES / (4 * columns)));
    const bytes = new Uint8Array(Math.min(step, count) * from);
    const floats = new Float32Array(Math.min(step, count) * columns);
    for (let row = 0; row < count; row += step) {
      const rows = Math.min(step, count - row);
      const values = floats.subarray(0, rows * columns);
      await this.#source.readRows(name, start + row, rows, bytes.subarray(0, rows * from));
      blockFormat(stored.type).decode(bytes.subarray(0, rows * from), values);
      for (const change of changes) addRows(change, start + row, values);
      blockFormat(info.type).encode!(values, target.subarray(row * to, (row + rows) * to), columns);
    }
  }

  #changesOf(name: string): Promise<Change[]> {
    if (this.#changes?.name !== name) {
      const using = this.#adapters.filter(({ adapter, scale }) => scale !== 0 && adapter.tensors.has(name));
      const read = Promise.all(
        using.map(async ({ adapter, scale }): Promise<Change> => {
          const tensor = adapter.tensors.get(name)!;
          return { ...(await adapter.read(name)), tensor, scale: scale * tensor.scale };
        }),
      );
      this.#changes = { name, read };
    }
    return this.#changes.read;
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/** values += scale · (B A)[firstRow, …), rows counted over all experts; sums in double precision. */
function addRows({ tensor, a, b, scale }: Change, firstRow: number, values: Float32Array): void {
  const { columns, rows, rank } = tensor;
  const sums = new Float64Array(columns);
  for (let i = 0; i < values.length / columns; i++) {
    const row = firstRow + i;
    const first = Math.floor(row / rows) * rank;
    sums.fill(0);
    // Four at a time, so that a sum is not stored for every product; beyond the rank they are nothing.
    for (let k = 0; k < rank; k += 4) {
      const factor = (j: number) => (k + j < rank ? b[row * rank + k + j]! : 0);
      const [w, x, y, z] = [factor(0), factor(1), factor(2), factor(3)];
      const offset = (j: number) => (first + Math.min(k + j, rank - 1)) * columns;
      const [p, q, r, s] = [offset(0), offset(1), offset(2), offset(3)];
      for (let c = 0; c < columns; c++)
        sums[c]! += w * a[p + c]! + x * a[q + c]! + y * a[r + c]! + z * a[s + c]!;
    }
    const at = i * columns;
    for (let c = 0; c < columns; c++) values[at + c]! += scale * sums[c]!;
  }
}
