import type { Llama4Config } from '../convert/llama4-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';

/** Bytes of one layer's weights. */
export interface LayerFootprint {
  /** Attention, norms, router, shared experts or the dense feed-forward part: read for every token. */
  readonly resident: number;
  /** All routed experts; 0 in a dense layer. */
  readonly experts: number;
}

/** Bytes of a model's weights by how they are used. */
export interface Footprint {
  /** One row of it is read per token. */
  readonly embedding: number;
  /** Output matrix, last norm and what belongs to no layer. A tied model reads its embedding here. */
  readonly output: number;
  readonly layers: readonly LayerFootprint[];
  /** All weights. */
  readonly total: number;
  /** Weights read for one generated token. */
  readonly perToken: number;
}

const EXPERTS = /\.ffn_(gate|up|down)_exps\./;

/** Sorts a text model's tensors by use. Pure; needs no bytes of theirs. */
export function footprint(
  config: Pick<Llama4Config, 'expertCount' | 'expertUsedCount' | 'ropeLayers'>,
  tensors: Iterable<Pick<TensorInfo, 'name' | 'bytes'>>,
): Footprint {
  const layers = config.ropeLayers.map(() => ({ resident: 0, experts: 0 }));
  let embedding = 0;
  let output = 0;
  let tied = true;
  for (const { name, bytes } of tensors) {
    const layer = layers[Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1)];
    if (name === 'token_embd.weight') embedding = bytes;
    else if (layer === undefined) output += bytes;
    else if (EXPERTS.test(name)) layer.experts += bytes;
    else layer.resident += bytes;
    if (name === 'output.weight') tied = false;
  }
  const total = layers.reduce((sum, { resident, experts }) => sum + resident + experts, embedding + output);
  const used = config.expertCount > 0 ? config.expertUsedCount / config.expertCount : 0;
  const perToken = layers.reduce(
    (sum, { resident, experts }) => sum + resident + experts * used,
    output + (tied ? embedding : 0),
  );
  return { embedding, output, layers, total, perToken };
}
