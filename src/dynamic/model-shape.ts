import { CriaError } from '../base/errors.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';

/** What the types of a mix depend on. */
export interface ModelShape {
  readonly tensors: readonly TensorInfo[];
  readonly layers: number;
  /** Routed experts of a layer; 0 in a dense model. */
  readonly experts: number;
  /** Query heads that share a key and value head. */
  readonly queriesPerKey: number;
}

/** The shape of an open model. Throws `bad-config` (bad-file) when its metadata does not say the number of layers. */
export function shapeOf(source: TensorSource): ModelShape {
  const architecture = source.metadata.get('general.architecture')?.value;
  const integer = (key: string): number | undefined => {
    const value = source.metadata.get(`${architecture}.${key}`)?.value;
    return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
  };
  const layers = integer('block_count');
  if (layers === undefined) {
    throw new CriaError(
      'bad-file',
      'bad-config',
      `'${source.path}': expected ${architecture}.block_count, a whole number, in its metadata, found none`,
    );
  }
  const heads = integer('attention.head_count') ?? 1;
  return {
    tensors: [...source.tensors.values()],
    layers,
    experts: integer('expert_count') ?? 0,
    queriesPerKey: Math.floor(heads / (integer('attention.head_count_kv') ?? heads)),
  };
}

/** Name of the matrix without its layer (`ffn_down_exps`, `output`), and the layer where it has one. */
export function tensorKind(name: string): { readonly kind: string; readonly layer?: number } {
  const match = /^(?:blk\.(\d+)\.)?(.+?)(?:\.weight)?$/s.exec(name)!;
  return { kind: match[2]!, layer: match[1] === undefined ? undefined : Number(match[1]) };
}
