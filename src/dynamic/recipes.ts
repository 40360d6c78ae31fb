import { CriaError } from '../base/errors.js';
import type { GgmlType } from '../formats/ggml-types.js';
import { elementCount, type TensorInfo } from '../formats/tensor-source.js';
import { DYNAMIC_RECIPES } from './dynamic-recipes.js';
import type { Recipe } from './recipe.js';
import { MIX_ALIASES, STANDARD_MIXES } from './standard-mixes.js';

/** Every recipe with a name: the dynamic rungs, smallest first, then llama.cpp's mixes. */
export const RECIPES: readonly Recipe[] = [...DYNAMIC_RECIPES, ...STANDARD_MIXES];

/** The recipe a user named, in any case, by its name or an alias of llama-quantize's. Throws `unknown-recipe`. */
export function findRecipe(text: string): Recipe {
  const name = text.toUpperCase();
  const found = RECIPES.find((recipe) => recipe.name === (MIX_ALIASES[name] ?? name));
  if (found === undefined) {
    const known = RECIPES.map((recipe) => recipe.name).join(', ');
    throw new CriaError(
      'usage',
      'unknown-recipe',
      `unknown type or recipe '${text}': expected one of ${known}`,
    );
  }
  return found;
}

/** `general.file_type` of a model whose types follow no recipe: that of the mix named after its commonest type. */
export function fileTypeOf(tensors: Iterable<TensorInfo>): number {
  const weights = new Map<GgmlType, number>();
  for (const { type, shape } of tensors) weights.set(type, (weights.get(type) ?? 0) + elementCount(shape));
  const [commonest] = [...weights].reduce((a, b) => (b[1] > a[1] ? b : a));
  return findRecipe(commonest).fileType;
}
