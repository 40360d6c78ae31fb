import { CriaError } from '../base/errors.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import type { Llama4Config } from './llama4-config.js';
import type { VisionConfig } from './vision-config.js';

/** GGUF tensor names with their shapes in GGUF order (`shape[0]` is the row length). */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

/** The part of a configuration that tensor shapes follow from. */
export type TextDimensions = Pick<
  Llama4Config,
  | 'embeddingLength'
  | 'headCount'
  | 'headCountKv'
  | 'headDim'
  | 'expertCount'
  | 'expertFeedForwardLength'
  | 'feedForwardLength'
  | 'vocabSize'
  | 'moeLayers'
>;

/**
 * Every tensor a text model of this shape has. `output.weight` may be missing from a model that uses its
 * embeddings for the output too; `rope_freqs.weight` is there only when RoPE frequencies are scaled and is not
 * part of this list.
 */
export function textTensorShapes(config: TextDimensions): TensorShapes {
  const width = config.embeddingLength;
  const queries = config.headCount * config.headDim;
  const keys = config.headCountKv * config.headDim;
  const experts = config.expertCount;
  const shapes = new Map<string, readonly number[]>([
    ['token_embd.weight', [width, config.vocabSize]],
    ['output_norm.weight', [width]],
    ['output.weight', [width, config.vocabSize]],
  ]);
  const feedForward = (layer: number, suffix: string, hidden: number, ...count: number[]) => {
    shapes.set(`blk.${layer}.ffn_gate${suffix}.weight`, [width, hidden, ...count]);
    shapes.set(`blk.${layer}.ffn_up${suffix}.weight`, [width, hidden, ...count]);
    shapes.set(`blk.${layer}.ffn_down${suffix}.weight`, [hidden, width, ...count]);
  };
  config.moeLayers.forEach((moe, layer) => {
    shapes.set(`blk.${layer}.attn_norm.weight`, [width]);
    shapes.set(`blk.${layer}.ffn_norm.weight`, [width]);
    shapes.set(`blk.${layer}.attn_q.weight`, [width, queries]);
    shapes.set(`blk.${layer}.attn_k.weight`, [width, keys]);
    shapes.set(`blk.${layer}.attn_v.weight`, [width, keys]);
    shapes.set(`blk.${layer}.attn_output.weight`, [queries, width]);
    if (moe) {
      shapes.set(`blk.${layer}.ffn_gate_inp.weight`, [width, experts]);
      feedForward(layer, '_exps', config.expertFeedForwardLength, experts);
      feedForward(layer, '_shexp', config.expertFeedForwardLength);
    } else {
      feedForward(layer, '', config.feedForwardLength);
    }
  });
  return shapes;
}

/** Every tensor of the vision tower, its adapter and its projector. */
export function visionTensorShapes(config: VisionConfig): TensorShapes {
  const { embeddingLength: width, feedForwardLength: hidden, adapterInput, adapterOutput } = config;
  const shapes = new Map<string, readonly number[]>([
    ['v.class_embd', [width]],
    ['v.patch_embd.weight', [config.channels * config.patchSize ** 2, width]],
    ['v.position_embd.weight', [width, (config.imageSize / config.patchSize) ** 2 + 1]],
    ['mm.model.mlp.1.weight', [width * config.scaleFactor ** 2, adapterInput]],
    ['mm.model.mlp.2.weight', [adapterInput, adapterOutput]],
    ['mm.model.fc.weight', [adapterOutput, config.projectionLength]],
  ]);
  const withBias = (name: string, shape: readonly number[]) => {
    shapes.set(`${name}.weight`, shape);
    shapes.set(`${name}.bias`, [shape.at(-1)!]);
  };
  withBias('v.pre_ln', [width]);
  withBias('v.post_ln', [width]);
  for (let layer = 0; layer < config.layerCount; layer++) {
    const block = `v.blk.${layer}`;
    withBias(`${block}.ln1`, [width]);
    withBias(`${block}.ln2`, [width]);
    for (const name of ['attn_q', 'attn_k', 'attn_v', 'attn_out'])
      withBias(`${block}.${name}`, [width, width]);
    withBias(`${block}.ffn_up`, [width, hidden]);
    withBias(`${block}.ffn_down`, [hidden, width]);
  }
  return shapes;
}

/**
 * Checks that a source has the tensors of its model in their shapes; others may be there as well. Throws
 * `missing-tensor` or `wrong-shape`.
 */
export function checkTensorShapes(
  tensors: ReadonlyMap<string, TensorInfo>,
  expected: TensorShapes,
  optional: ReadonlySet<string>,
  where: string,
): void {
  for (const [name, shape] of expected) {
    const found = tensors.get(name)?.shape;
    if (!found && optional.has(name)) continue;
    if (!found) throw new CriaError('bad-file', 'missing-tensor', `'${where}' has no tensor ${name}`);
    if (found.length !== shape.length || found.some((n, i) => n !== shape[i])) {
      const message = `'${where}': expected ${name} to be [${shape.join(', ')}], found [${found.join(', ')}]`;
      throw new CriaError('bad-file', 'wrong-shape', message);
    }
  }
}
