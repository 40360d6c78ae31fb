import { CriaError } from '../base/errors.js';
import type { Metadata, TensorInfo } from '../formats/tensor-source.js';
import { badConfig, FieldReader } from './field-reader.js';

/** The shape of Llama 4's vision tower, adapter and projector. */
export interface VisionConfig {
  readonly layerCount: number;
  readonly embeddingLength: number;
  readonly headCount: number;
  readonly feedForwardLength: number;
  /** Pixels along each side of a tile. */
  readonly imageSize: number;
  /** Pixels along each side of a patch. */
  readonly patchSize: number;
  readonly channels: number;
  readonly layerNormEps: number;
  readonly ropeTheta: number;
  /** Patches along each side of the square that the pixel shuffle joins into one token. */
  readonly scaleFactor: number;
  /** Widths of the adapter's two layers. */
  readonly adapterInput: number;
  readonly adapterOutput: number;
  /** Width of what the text model receives. */
  readonly projectionLength: number;
}

/** Llama 4's published towers; GGUF has no key for these. */
const ROPE_THETA = 10_000;
const CHANNELS = 3;

const LIMITS = { layers: 1024, width: 2 ** 20, image: 2 ** 14 };

/**
 * Reads the vision part of a parsed `config.json`; undefined when the checkpoint has none.
 * Throws `bad-config` for missing or absurd values, `unsupported-config` for what Cria cannot run.
 */
export function visionConfigFromHuggingFace(
  json: unknown,
  projectionLength: number,
  where = 'config.json',
): VisionConfig | undefined {
  const fields = FieldReader.ofObject(where, json).section('vision_config');
  if (!fields) return undefined;
  const width = (name: string, fallback?: number) => fields.integer(name, 1, LIMITS.width, fallback);
  const ratio = fields.positive('pixel_shuffle_ratio', 0.5);
  const activation = fields.text('hidden_act') ?? 'gelu';
  if (activation !== 'gelu') {
    const message = `${fields.where}: expected hidden_act gelu, found ${activation}`;
    throw new CriaError('unsupported', 'unsupported-config', message);
  }
  const rope = fields.section('rope_parameters');
  const config: VisionConfig = {
    layerCount: fields.integer('num_hidden_layers', 1, LIMITS.layers),
    embeddingLength: width('hidden_size'),
    headCount: width('num_attention_heads'),
    feedForwardLength: width('intermediate_size'),
    imageSize: fields.integer('image_size', 1, LIMITS.image),
    patchSize: fields.integer('patch_size', 1, LIMITS.image),
    channels: fields.integer('num_channels', 1, 16, CHANNELS),
    layerNormEps: fields.positive('norm_eps', 1e-5),
    ropeTheta: (rope ?? fields).positive('rope_theta', ROPE_THETA),
    scaleFactor: Math.round(1 / ratio),
    adapterInput: width('projector_input_dim'),
    adapterOutput: width('projector_output_dim'),
    projectionLength,
  };
  return checkShape(config, 1 / ratio, fields.where);
}

/**
 * Reads the vision tower's shape from an `mmproj` file. Throws `not-a-vision-file` (unsupported) for other files and
 * for towers that are not Llama 4's, `bad-config` as `visionConfigFromHuggingFace` does, `missing-tensor`.
 */
export function visionConfigFromMetadata(
  metadata: Metadata,
  tensors: ReadonlyMap<string, TensorInfo>,
  where: string,
): VisionConfig {
  const fields = FieldReader.ofMetadata(where, metadata);
  const architecture = fields.text('general.architecture');
  const projector = fields.text('clip.projector_type') ?? fields.text('clip.vision.projector_type');
  if (architecture !== 'clip' || projector !== 'llama4') {
    const found =
      architecture === 'clip' ? `a projector of type ${projector}` : `a model of type ${architecture}`;
    const message = `'${where}': expected the vision tower of a Llama 4 (an mmproj file), found ${found}`;
    throw new CriaError('unsupported', 'not-a-vision-file', message);
  }
  const integer = (key: string, largest: number) => fields.integer(`clip.vision.${key}`, 1, largest);
  const width = (key: string) => integer(key, LIMITS.width);
  const rows = (name: string) => {
    const found = tensors.get(name)?.shape[1];
    if (found === undefined) {
      throw new CriaError('bad-file', 'missing-tensor', `'${where}' has no matrix '${name}'`);
    }
    return found;
  };
  const config: VisionConfig = {
    layerCount: integer('block_count', LIMITS.layers),
    embeddingLength: width('embedding_length'),
    headCount: width('attention.head_count'),
    feedForwardLength: width('feed_forward_length'),
    imageSize: integer('image_size', LIMITS.image),
    patchSize: integer('patch_size', LIMITS.image),
    channels: CHANNELS,
    layerNormEps: fields.positive('clip.vision.attention.layer_norm_epsilon', 1e-5),
    ropeTheta: ROPE_THETA,
    scaleFactor: fields.integer('clip.vision.projector.scale_factor', 1, LIMITS.image, 2),
    adapterInput: rows('mm.model.mlp.1.weight'),
    adapterOutput: rows('mm.model.mlp.2.weight'),
    projectionLength: width('projection_dim'),
  };
  return checkShape(config, config.scaleFactor, where);
}

/** How pictures are normalised, per channel: `clip.vision.image_mean` and `image_std`. Throws `bad-config`. */
export function normalisationFromMetadata(
  metadata: Metadata,
  where: string,
): { readonly mean: readonly number[]; readonly std: readonly number[] } {
  const fields = FieldReader.ofMetadata(where, metadata);
  const channels = (key: string, valid: (value: number) => boolean) => {
    const values = fields.list(key) ?? new Array<number>(CHANNELS).fill(0.5);
    const numbers = values.filter(
      (v): v is number => typeof v === 'number' && Number.isFinite(v) && valid(v),
    );
    if (values.length !== CHANNELS || numbers.length !== CHANNELS) {
      throw fields.refuse(key, `${CHANNELS} usable numbers`);
    }
    return numbers;
  };
  return {
    mean: channels('clip.vision.image_mean', () => true),
    std: channels('clip.vision.image_std', (value) => value > 0),
  };
}

/** Refuses sides that are not whole numbers of patches, of shuffled squares, and of heads. */
function checkShape(config: VisionConfig, shuffled: number, where: string): VisionConfig {
  const { imageSize, patchSize, scaleFactor, embeddingLength, headCount } = config;
  const side = imageSize / patchSize;
  if (!Number.isInteger(side) || side % scaleFactor !== 0 || scaleFactor !== shuffled) {
    throw badConfig(
      `${where}: ${imageSize} pixels do not divide into patches of ${patchSize} and shuffled squares of ${shuffled}`,
    );
  }
  if (embeddingLength % headCount !== 0) {
    throw badConfig(`${where}: a width of ${embeddingLength} does not divide among ${headCount} heads`);
  }
  return config;
}
