import { configFromMetadata, type Llama4Config } from '../convert/llama4-config.js';
import { openModel } from '../convert/open-model.js';
import { DYNAMIC_RECIPES } from '../dynamic/dynamic-recipes.js';
import { shapeOf } from '../dynamic/model-shape.js';
import {
  PUBLISHED_HEADER_BYTES,
  type PublishedModel,
  publishedConfig,
  publishedShape,
} from '../dynamic/published-models.js';
import { recipeSizes } from '../dynamic/recipe-sizes.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { modelPath } from './model-argument.js';

/** A model that `plan` judges, in the sizes it may have. */
export interface PlannedModel {
  readonly config: Llama4Config;
  readonly sizes: readonly { name: string; fileBytes: number; tensors: readonly TensorInfo[] }[];
  /** A published model, which can be fetched by name. */
  readonly published?: PublishedModel;
}

/** A published model by name, which needs nothing of it, or the one at a path. */
export async function findPlannedModel(name: string): Promise<PlannedModel> {
  if (name === 'scout' || name === 'maverick') {
    const sizes = recipeSizes(
      DYNAMIC_RECIPES,
      publishedShape(name),
      (_, tensors) => sum(tensors) + PUBLISHED_HEADER_BYTES,
    );
    return { config: publishedConfig(name), sizes: sizes.map(ofRecipe), published: name };
  }
  const source = await openModel(await modelPath(name));
  try {
    const config = configFromMetadata(source.metadata, source.tensors);
    const tensors = [...source.tensors.values()];
    const itself = { name: 'as it is', fileBytes: sum(tensors), tensors };
    const is16Bit = tensors.every(({ type }) => type === 'F32' || type === 'F16' || type === 'BF16');
    const sizes = is16Bit ? recipeSizes(DYNAMIC_RECIPES, shapeOf(source), (_, planned) => sum(planned)) : [];
    return { config, sizes: [...sizes.map(ofRecipe), itself] };
  } finally {
    await source.close();
  }
}

function ofRecipe({
  recipe,
  bytes,
  tensors,
}: {
  recipe: string;
  bytes: number;
  tensors: readonly TensorInfo[];
}) {
  return { name: recipe, fileBytes: bytes, tensors };
}

function sum(tensors: readonly TensorInfo[]): number {
  return tensors.reduce((total, { bytes }) => total + bytes, 0);
}
