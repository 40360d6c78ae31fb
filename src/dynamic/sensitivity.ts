import type { GgmlType } from '../formats/ggml-types.js';
import { type ImatrixEntry, importanceOf } from '../formats/imatrix/index.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import type { Llama4Runtime } from '../model/llama4-runtime.js';
import { blockFormat } from '../quant/index.js';
import type { DivergenceProbe } from './divergence-probe.js';
import { cutIntoPieces, type Piece, sourceBytes, targetBytes } from './pieces.js';
import { type Recoder, type WeightedError, weightedError } from './tensor-errors.js';
import { typeForRows } from './type-plan.js';

/** What became of the predictions when one tensor had one type and all others were unchanged. */
export interface Perturbation {
  readonly type: GgmlType;
  /** Importance-weighted relative error of the tensor, see `tensorErrors`. */
  readonly error: number;
  /** Mean divergence of the predictions, in nats. */
  readonly kld: number;
}

export interface SensitivityOptions {
  /** Entries of this model's tensors, see `entriesOfModel`. */
  readonly importance?: ReadonlyMap<string, ImatrixEntry>;
  readonly recoder: Recoder;
  /** Types to try; default `PROBE_TYPES`. */
  readonly types?: readonly GgmlType[];
  readonly signal?: AbortSignal;
}

/**
 * Types a tensor is perturbed with. The divergence is nearly proportional to the error over a factor of ten, but an
 * arbitrarily small change already sends a few tokens to another expert, at random: only the coarsest types stand
 * out of that. Sensitivities from Q2_K and Q3_K were off by up to three times, and cost 3 to 8% of the divergence at a given size.
 */
export const PROBE_TYPES: readonly GgmlType[] = ['IQ1_S', 'IQ2_XXS'];

/** Pieces of a tensor under way, which bounds the memory. */
const PIECES_AT_ONCE = 32;

/**
 * Puts one tensor of a loaded model into each of a few types, measures how far the predictions move, and puts the
 * original back. `source` is what `runtime` was loaded from; `probe` was made with it unchanged.
 */
export async function perturbTensor(
  runtime: Llama4Runtime,
  source: TensorSource,
  probe: DivergenceProbe,
  tensor: TensorInfo,
  options: SensitivityOptions,
): Promise<Perturbation[]> {
  const results: Perturbation[] = [];
  try {
    for (const wanted of options.types ?? PROBE_TYPES) {
      const type = typeForRows(wanted, tensor.shape[0]!);
      if (type === tensor.type || results.some((result) => result.type === type)) continue;
      const error = await replaceByRounded(runtime, source, tensor, type, options);
      results.push({ type, error, kld: Math.max(0, await probe.meanKld(options.signal)) });
    }
  } finally {
    await restore(runtime, source, tensor);
  }
  return results;
}

/** Divergence per error: the slope of the line through the origin that the strongest perturbations determine. */
export function sensitivityOf(perturbations: readonly Perturbation[]): number {
  const kld = perturbations.reduce((sum, perturbation) => sum + perturbation.kld, 0);
  const error = perturbations.reduce((sum, perturbation) => sum + perturbation.error, 0);
  return error > 0 ? kld / error : 0;
}

/** Rounds the loaded tensor to `type` and returns its error. */
async function replaceByRounded(
  runtime: Llama4Runtime,
  source: TensorSource,
  tensor: TensorInfo,
  type: GgmlType,
  options: SensitivityOptions,
): Promise<number> {
  const pieces = cutIntoPieces([tensor], new Map([[tensor.name, type]]));
  let error = 0;
  let norm = 0;
  for (let first = 0; first < pieces.length; first += PIECES_AT_ONCE) {
    const batch = pieces.slice(first, first + PIECES_AT_ONCE);
    const parts = await Promise.all(batch.map((piece) => replacePiece(runtime, source, piece, options)));
    for (const part of parts) {
      error += part.error;
      norm += part.norm;
    }
  }
  return norm > 0 ? error / norm : 0;
}

async function replacePiece(
  runtime: Llama4Runtime,
  source: TensorSource,
  piece: Piece,
  { importance, recoder }: SensitivityOptions,
): Promise<WeightedError> {
  const { name, from, to, columns, rows, matrix, firstRow } = piece;
  const bytes = new Uint8Array(new SharedArrayBuffer(sourceBytes(piece)));
  const target = new Uint8Array(new SharedArrayBuffer(targetBytes(piece)));
  await source.readRows(name, firstRow, rows, bytes);
  const entry = importance?.get(name);
  await recoder.recode({ piece, source: bytes, target, importance: entry && importanceOf(entry, matrix) });
  const original = new Float32Array(rows * columns);
  const rounded = new Float32Array(rows * columns);
  blockFormat(from).decode(bytes, original);
  blockFormat(to).decode(target, rounded);
  blockFormat(from).encode!(rounded, bytes, columns);
  await runtime.replaceRows(name, firstRow, bytes);
  return weightedError(original, rounded, columns, entry, matrix);
}

async function restore(runtime: Llama4Runtime, source: TensorSource, tensor: TensorInfo): Promise<void> {
  for (const piece of cutIntoPieces([tensor], new Map())) {
    const bytes = new Uint8Array(sourceBytes(piece));
    await source.readRows(tensor.name, piece.firstRow, piece.rows, bytes);
    await runtime.replaceRows(tensor.name, piece.firstRow, bytes);
  }
}
