import type { TensorSource } from '../../formats/tensor-source.js';
import { DYNAMIC_RECIPES } from '../dynamic-recipes.js';
import type { ModelShape } from '../model-shape.js';
import { PROVENANCE_KEYS } from '../provenance.js';
import type { Recipe } from '../recipe.js';
import { STANDARD_MIXES } from '../standard-mixes.js';
import { isQuantizable, resolvePlan, uniformPlan } from '../type-plan.js';

/**
 * How the types of a file were chosen: by Cria's measurements for a size (`measured`), by a published recipe
 * (`recipe`), by one of llama.cpp's mixes (`static`), or in any other way (`custom`).
 */
export interface TypeChoice {
  readonly kind: 'measured' | 'recipe' | 'static' | 'custom';
  /** Name of the mix or recipe, or the size that was asked for. */
  readonly recipe?: string;
}

/**
 * Tells by what `cria quantize` notes about measurements, and otherwise by the types alone, which say more than a
 * file name. A mix may give other types with an importance matrix
 * than without; both count. Where one type for every weight matrix is what two mixes come to, the first counts.
 */
export function identifyTypes(
  file: Pick<TensorSource, 'metadata' | 'tensors'>,
  shape: ModelShape,
): TypeChoice {
  if (file.metadata.has(PROVENANCE_KEYS.tensors)) {
    const request = file.metadata.get(PROVENANCE_KEYS.request)?.value;
    return { kind: 'measured', recipe: typeof request === 'string' ? request : undefined };
  }
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
