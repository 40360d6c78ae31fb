import { CriaError } from '../base/errors.js';
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
    channels: fields.integer('num_channels', 1, 16, 3),
    layerNormEps: fields.positive('norm_eps', 1e-5),
    ropeTheta: (rope ?? fields).positive('rope_theta', 10000),
    scaleFactor: Math.round(1 / ratio),
    adapterInput: width('projector_input_dim'),
    adapterOutput: width('projector_output_dim'),
    projectionLength,
  };
  const side = config.imageSize / config.patchSize;
  if (!Number.isInteger(side) || side % config.scaleFactor !== 0 || config.scaleFactor * ratio !== 1) {
    throw badConfig(
      `${fields.where}: ${config.imageSize} pixels do not divide into patches of ${config.patchSize} and shuffled squares of ${1 / ratio}`,
    );
  }
  if (config.embeddingLength % config.headCount !== 0) {
    throw badConfig(
      `${fields.where}: a width of ${config.embeddingLength} does not divide among ${config.headCount} heads`,
    );
  }
  return config;
}
