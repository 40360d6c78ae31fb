import type { TensorSource } from '../../formats/tensor-source.js';
import { DYNAMIC_RECIPES } from '../dynamic-recipes.js';
import type { ModelShape } from '../model-shape.js';
import type { Recipe } from '../recipe.js';
import { STANDARD_MIXES } from '../standard-mixes.js';
import { isQuantizable, resolvePlan, uniformPlan } from '../type-plan.js';

/**
 * How the types of a file were chosen: by one of llama.cpp's mixes (`static`), by a published recipe (`recipe`), or
 * in any other way (`custom`), as by measuring.
 */
export interface TypeChoice {
  readonly kind: 'static' | 'recipe' | 'custom';
  /** Name of the mix or recipe. */
  readonly recipe?: string;
}

/**
 * Tells by the types alone, which say more than a file name. A mix may give other types with an importance matrix
 * than without; both count. Where one type for every weight matrix is what two mixes come to, the first counts.
 */
export function identifyTypes(file: Pick<TensorSource, 'tensors'>, shape: ModelShape): TypeChoice {
  const recipe = DYNAMIC_RECIPES.find((candidate) => follows(file, shape, candidate));
  if (recipe !== undefined) return { kind: 'recipe', recipe: recipe.name };
  const mix = STANDARD_MIXES.find((candidate) => follows(file, shape, candidate));
  if (mix !== undefined) return { kind: 'static', recipe: mix.name };
  const pure = STANDARD_MIXES.find(({ base }) => agrees(file, shape, uniformPlan(shape.tensors, base)));
  return pure === undefined ? { kind: 'custom' } : { kind: 'static', recipe: pure.base };
}

function follows(file: Pick<TensorSource, 'tensors'>, shape: ModelShape, { types }: Recipe): boolean {
  return [true, false].some((hasImportance) => agrees(file, shape, types(shape, hasImportance)));
}

function agrees(
  file: Pick<TensorSource, 'tensors'>,
  { tensors }: ModelShape,
  types: ReturnType<Recipe['types']>,
): boolean {
  const { plan } = resolvePlan(tensors, { types });
  return tensors.every(
    (tensor) => !isQuantizable(tensor) || file.tensors.get(tensor.name)?.type === plan.get(tensor.name),
  );
}
