import type { TensorInfo } from '../formats/tensor-source.js';
import type { ModelShape } from './model-shape.js';
import { bitsPerWeight, plannedTensors } from './plan-summary.js';
import type { Recipe } from './recipe.js';
import { resolvePlan, type TypePlan } from './type-plan.js';

/** What a recipe makes of a model. */
export interface RecipeSize {
  readonly recipe: string;
  /** Size of the file, or of all files of a split model. */
  readonly bytes: number;
  /** Tensor data per weight. */
  readonly bitsPerWeight: number;
  readonly tensors: readonly TensorInfo[];
  readonly plan: TypePlan;
}

/** Applies recipes to a model without reading a weight. `fileBytes` tells the size of the file under a plan. */
export function recipeSizes(
  recipes: readonly Recipe[],
  shape: ModelShape,
  fileBytes: (plan: TypePlan, tensors: readonly TensorInfo[], recipe: Recipe) => number,
): RecipeSize[] {
  return recipes.map((recipe) => {
    // As with an importance matrix: the published files have one.
    const { plan } = resolvePlan(shape.tensors, { types: recipe.types(shape, true) });
    const tensors = plannedTensors(shape.tensors, plan);
    const bytes = fileBytes(plan, tensors, recipe);
    return { recipe: recipe.name, bytes, bitsPerWeight: bitsPerWeight(tensors), tensors, plan };
  });
}
