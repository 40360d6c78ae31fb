import type { GgmlType } from '../formats/ggml-types.js';
import type { ModelShape } from './model-shape.js';
import type { TypePlan } from './type-plan.js';

/** A named rule that gives every weight matrix of a model a type. */
export interface Recipe {
  readonly name: string;
  /** Value of `general.file_type` (`llama_ftype` of llama.cpp). */
  readonly fileType: number;
  /** The type that most weights have, and all in a pure quantization. */
  readonly base: GgmlType;
  /** Types of the quantizable tensors. `hasImportance`: whether an importance matrix will be used. */
  readonly types: (shape: ModelShape, hasImportance: boolean) => TypePlan;
}
