import { CriaError } from '../../base/errors.js';

/** A low-rank change of one weight matrix, or of the matrices of all experts: W += scale · B A. */
export interface LoraTensor {
  /** GGUF name of the weight, such as `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Inputs and outputs of the weight. */
  readonly columns: number;
  readonly rows: number;
  readonly rank: number;
  /** 1 for weights that are not routed experts'. */
  readonly experts: number;
  /** alpha / rank, or alpha / √rank for rsLoRA. */
  readonly scale: number;
}

export interface LoraWeights {
  /** `[experts][rank][columns]` */
  readonly a: Float32Array;
  /** `[experts][rows][rank]` */
  readonly b: Float32Array;
}

/** What an adapter says about the model it was trained on. */
export interface LoraBase {
  /** As people call it: a repository, a folder, a model's name. */
  readonly name?: string;
  /** `normChecksum` of the model. */
  readonly norms?: string;
}

/** An open adapter, whatever its format. Nothing but headers is read until weights are asked for. */
export interface LoraAdapter {
  /** Path to show in messages. */
  readonly path: string;
  readonly base: LoraBase;
  readonly tensors: ReadonlyMap<string, LoraTensor>;
  /** The factors of one of `tensors`. */
  read(name: string): Promise<LoraWeights>;
  close(): Promise<void>;
}

/** Where an adapter is, and how much of it to add. */
export interface AdapterFile {
  /** A GGUF adapter, or a PEFT folder. */
  readonly path: string;
  /** Default 1: as it was trained. */
  readonly scale?: number;
}

/** An adapter and how much of it to add. */
export interface ScaledAdapter {
  readonly adapter: LoraAdapter;
  /** 1 adds it as it was trained. */
  readonly scale: number;
}

/** The largest rank taken: beyond the width of every published model a factorization saves nothing. */
export const MAX_RANK = 16_384;

/** A file that contradicts its format. */
export function badAdapter(path: string, message: string): CriaError {
  return new CriaError('bad-file', 'bad-adapter', `'${path}': ${message}`);
}

/** An adapter that asks for something Cria does not do. */
export function unsupportedAdapter(path: string, message: string): CriaError {
  return new CriaError('unsupported', 'unsupported-adapter', `'${path}': ${message}`);
}

/** The value most of `values` have; the earliest of several such. */
export function mostCommon(values: Iterable<number>): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let [best, most] = [0, 0];
  for (const [value, count] of counts) if (count > most) [best, most] = [value, count];
  return best;
}

/** Whether a GGUF weight is that of routed experts, and so has a dimension for them. */
export function isExpertWeight(name: string): boolean {
  return name.endsWith('_exps.weight');
}
