import { type TextDimensions, textTensorShapes } from '../convert/expected-tensors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import { tensorInfo } from '../convert/tensor-plan.js';
import type { ModelShape } from './model-shape.js';

export type PublishedModel = 'scout' | 'maverick';

/** Bytes of a published file before its tensor data: the vocabulary of 202,048 tokens, nearly all of it. */
export const PUBLISHED_HEADER_BYTES = 12_850_000;

/** What Scout and Maverick have in common (their config.json). */
const LAYERS = 48;
const SHARED = {
  embeddingLength: 5120,
  headCount: 40,
  headCountKv: 8,
  headDim: 128,
  expertFeedForwardLength: 8192,
  feedForwardLength: 16384,
  vocabSize: 202048,
} satisfies Partial<TextDimensions>;

/** Expert counts, and which layers have experts. */
function expertLayout(model: PublishedModel): Pick<Llama4Config, 'expertCount' | 'moeLayers'> {
  const moeLayers = Array.from({ length: LAYERS }, (_, layer) => model === 'scout' || layer % 2 === 1);
  return { expertCount: model === 'scout' ? 16 : 128, moeLayers };
}

/** The configuration of a published instruction-tuned model (its config.json). */
export function publishedConfig(model: PublishedModel): Llama4Config {
  const scout = model === 'scout';
  return {
    ...SHARED,
    ...expertLayout(model),
    layerCount: LAYERS,
    expertUsedCount: 1,
    contextLength: scout ? 10_485_760 : 1_048_576,
    rmsEps: 1e-5,
    ropeTheta: 500_000,
    ropeLayers: Array.from({ length: LAYERS }, (_, layer) => layer % 4 !== 3),
    useQkNorm: scout,
    attentionChunkSize: 8192,
    temperatureTuning: true,
    floorScale: 8192,
    attnScale: 0.1,
    interleaveMoeLayerStep: scout ? 1 : 2,
  };
}

/** The weights of a published model as a converter writes them in BF16, without having them. */
export function publishedShape(model: PublishedModel): ModelShape {
  const layout = expertLayout(model);
  const shapes = textTensorShapes({ ...SHARED, ...layout });
  // Divisors of the RoPE frequencies, which follow from the configuration.
  const ropeFrequencies = tensorInfo('rope_freqs.weight', [SHARED.headDim / 2], 'F32');
  const weights = [...shapes].map(([name, shape]) => {
    const stays32 = shape.length === 1 || name.endsWith('.ffn_gate_inp.weight');
    return tensorInfo(name, shape, stays32 ? 'F32' : 'BF16');
  });
  return {
    tensors: [ropeFrequencies, ...weights],
    layers: LAYERS,
    experts: layout.expertCount,
    queriesPerKey: SHARED.headCount / SHARED.headCountKv,
  };
}
