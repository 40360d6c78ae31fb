import { CriaError } from '../../base/errors.js';
import type { Metadata, TensorSource } from '../../formats/tensor-source.js';
import { checkTensorShapes, visionTensorShapes } from '../expected-tensors.js';
import { FieldReader } from '../field-reader.js';
import { normalisationFromMetadata, type VisionConfig, visionConfigFromMetadata } from '../vision-config.js';

/** Names, in `config.json`, of the tokens that pictures are told by. */
const PICTURE_TOKENS = {
  boi_token_index: '<|image_start|>',
  eoi_token_index: '<|image_end|>',
  image_token_index: '<|patch|>',
} as const;

export interface MultimodalFiles {
  /** `config.json` of the text model and the vision tower together. */
  readonly config: object;
  /** `preprocessor_config.json` */
  readonly preprocessor: object;
}

/**
 * The configuration of a multimodal checkpoint from that of its text part and an mmproj file. Throws what
 * `visionConfigFromMetadata` and `checkTensorShapes` throw, `mmproj-mismatch` (unsupported) for a tower of a model of
 * another width or without tokens for pictures.
 */
export function multimodalFiles(
  text: Readonly<Record<string, unknown>>,
  metadata: Metadata,
  vision: TensorSource,
): MultimodalFiles {
  const config = visionConfigFromMetadata(vision.metadata, vision.tensors, vision.path);
  checkTensorShapes(vision.tensors, visionTensorShapes(config), new Set(), vision.path);
  if (config.projectionLength !== text.hidden_size) {
    throw mismatch(vision, `a width of ${text.hidden_size}`, String(config.projectionLength));
  }
  const tokens = FieldReader.ofMetadata(vision.path, metadata).list('tokenizer.ggml.tokens') ?? [];
  const indices = Object.entries(PICTURE_TOKENS).map(([key, token]) => {
    const index = tokens.indexOf(token);
    if (index < 0) throw mismatch(vision, `a vocabulary with ${token}`, 'none');
    return [key, index];
  });
  const { architectures: _, torch_dtype: dtype, tie_word_embeddings: tied, ...textConfig } = text;
  return {
    config: {
      architectures: ['Llama4ForConditionalGeneration'],
      model_type: 'llama4',
      torch_dtype: dtype,
      ...Object.fromEntries(indices),
      tie_word_embeddings: tied,
      text_config: { ...textConfig, tie_word_embeddings: tied },
      vision_config: visionJson(config),
    },
    preprocessor: preprocessorJson(config, vision),
  };
}

function visionJson(config: VisionConfig): object {
  return {
    model_type: 'llama4_vision_model',
    hidden_act: 'gelu',
    hidden_size: config.embeddingLength,
    image_size: config.imageSize,
    intermediate_size: config.feedForwardLength,
    multi_modal_projector_bias: false,
    norm_eps: Number(config.layerNormEps.toPrecision(6)),
    num_attention_heads: config.headCount,
    num_channels: config.channels,
    num_hidden_layers: config.layerCount,
    patch_size: config.patchSize,
    pixel_shuffle_ratio: 1 / config.scaleFactor,
    projector_input_dim: config.adapterInput,
    projector_output_dim: config.adapterOutput,
    rope_theta: config.ropeTheta,
    vision_feature_select_strategy: 'default',
    vision_output_dim: config.adapterOutput,
  };
}

/** Sixteen tiles at most, as Meta's models have. */
function preprocessorJson({ imageSize }: VisionConfig, vision: TensorSource): object {
  const { mean, std } = normalisationFromMetadata(vision.metadata, vision.path);
  return {
    image_processor_type: 'Llama4ImageProcessorFast',
    processor_class: 'Llama4Processor',
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: mean,
    image_std: std,
    max_patches: 16,
    resample: 2,
    rescale_factor: 1 / 255,
    resize_to_max_canvas: false,
    size: { height: imageSize, width: imageSize },
  };
}

function mismatch({ path }: TensorSource, expected: string, found: string): CriaError {
  return new CriaError(
    'unsupported',
    'mmproj-mismatch',
    `'${path}' belongs to a model with another text part: expected ${expected}, found ${found}`,
  );
}
