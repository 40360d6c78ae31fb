// Files of random weights in the real shapes of Scout and Maverick: few layers, the vocabulary of nano-scout.
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../dist/convert/checkpoint-source.js';
import { textTensorShapes } from '../dist/convert/expected-tensors.js';
import { configFromMetadata } from '../dist/convert/llama4-config.js';
import { textMetadata } from '../dist/convert/metadata.js';
import { u32 } from '../dist/convert/metadata-values.js';
import { ropeDivisors } from '../dist/convert/rope-scaling.js';
import { tensorInfo } from '../dist/convert/tensor-plan.js';
import { publishedShape } from '../dist/dynamic/published-models.js';
import { findRecipe } from '../dist/dynamic/recipes.js';
import { resolvePlan } from '../dist/dynamic/type-plan.js';
import { writeGguf } from '../dist/formats/gguf/index.js';
import { RandomBlocks } from './random-blocks.mjs';

const NANO_SCOUT = fileURLToPath(new URL('../models/nano-scout', import.meta.url));

/** Slices have the types of the whole model's layers from here on, where the rules for the outer layers do not count. */
const MIDDLE_LAYER = 24;

export const SLICES = { 'scout-slice': 'scout', 'maverick-slice': 'maverick' };

/**
 * What a slice holds, before anything is written: `{ name, config, metadata, tensors, bytes }`. The fourth layer is the
 * first without RoPE and with full attention; llama.cpp stops at a model that has none.
 */
export async function planSlice(slice, recipeName, layers = 4) {
  const model = SLICES[slice];
  if (model === undefined) throw new Error(`expected ${Object.keys(SLICES).join(' or ')}, found '${slice}'`);
  const recipe = findRecipe(recipeName);
  const maverick = model === 'maverick';
  const nano = await openCheckpoint(NANO_SCOUT);
  const nanoConfig = configFromMetadata(nano.metadata, nano.tensors);
  const vocabulary = [...nano.metadata].filter(([key]) => key.startsWith('tokenizer.'));
  await nano.close();

  // Maverick's layers of experts are large: one of four instead of one of two.
  const expertStep = maverick ? 4 : 1;
  const every = Array.from({ length: layers }, (_, layer) => layer);
  const config = {
    ...nanoConfig,
    layerCount: layers,
    embeddingLength: 5120,
    headCount: 40,
    headCountKv: 8,
    headDim: 128,
    expertCount: maverick ? 128 : 16,
    expertUsedCount: 1,
    expertFeedForwardLength: 8192,
    feedForwardLength: 16384,
    contextLength: maverick ? 2 ** 20 : 10 * 2 ** 20,
    ropeTheta: 500000,
    ropeLayers: every.map((layer) => (layer + 1) % 4 !== 0),
    moeLayers: every.map((layer) => (layer + 1) % expertStep === 0),
    interleaveMoeLayerStep: expertStep,
    useQkNorm: !maverick,
    // Maverick's frequencies are not scaled.
    ropeScaling: maverick
      ? undefined
      : { factor: 16, lowFreqFactor: 1, highFreqFactor: 1, originalContextLength: 8192 },
  };

  const whole = publishedShape(model);
  const { plan } = resolvePlan(whole.tensors, { types: recipe.types(whole, true) });
  const typeOf = (name, shape) => {
    if (shape.length === 1 || name.endsWith('.ffn_gate_inp.weight')) return 'F32';
    // Maverick's even layers are dense.
    const middle = (layer) => MIDDLE_LAYER + (maverick ? Number(config.moeLayers[layer]) : layer % 8);
    return plan.get(name.replace(/^blk\.(\d+)/, (_, layer) => `blk.${middle(Number(layer))}`));
  };
  const tensors = [...textTensorShapes(config)].map(([name, shape]) =>
    tensorInfo(name, shape, typeOf(name, shape)),
  );
  if (config.ropeScaling) tensors.unshift(tensorInfo('rope_freqs.weight', [config.headDim / 2], 'F32'));
  const name = `${slice}-${recipe.name}`;
  const metadata = new Map([
    ...textMetadata({ folder: name, type: 'bf16', generation: undefined, tensors }, config),
    ['general.file_type', u32(recipe.fileType)],
    ...vocabulary,
  ]);
  return { name, config, metadata, tensors, bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** Writes a planned slice; the same seed gives the same file. */
export async function writeSlice(path, { config, metadata, tensors }, seed = 1) {
  const random = new RandomBlocks(seed);
  const floats = (array) => new Uint8Array(array.buffer);
  await writeGguf(path, {
    metadata,
    tensors,
    write: ({ name, type, shape, bytes }) => {
      if (name === 'rope_freqs.weight') return floats(ropeDivisors(config, config.ropeScaling));
      if (name.endsWith('_norm.weight')) return floats(new Float32Array(shape[0]).fill(1));
      return random.tensor(type, bytes);
    },
  });
}
