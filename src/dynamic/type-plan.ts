import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';

/** The type each tensor of a model is to have, by name. Tensors that are absent keep theirs. */
export type TypePlan = ReadonlyMap<string, GgmlType>;

/**
 * Types that stand in where a row is not a whole number of blocks, as llama.cpp's quantizer chooses them
 * (llama-quant.cpp, v0.5.0); all have blocks of 32.
 */
const NARROW_TYPES: Partial<Record<GgmlType, GgmlType>> = {
  TQ1_0: 'Q4_0',
  TQ2_0: 'Q4_0',
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  IQ1_S: 'IQ4_NL',
  IQ1_M: 'IQ4_NL',
  IQ2_XXS: 'IQ4_NL',
  IQ2_XS: 'IQ4_NL',
  IQ2_S: 'IQ4_NL',
  IQ3_XXS: 'IQ4_NL',
  IQ3_S: 'IQ4_NL',
  IQ4_XS: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** Whether a tensor is a weight matrix that may be quantized: norms, the router and vectors never are. */
export function isQuantizable({ name, shape }: TensorInfo): boolean {
  return shape.length >= 2 && name.endsWith('.weight') && !/(_norm|ffn_gate_inp)\.weight$/.test(name);
}

/** `type`, or what replaces it for rows of `columns` weights that its blocks do not divide. */
export function typeForRows(type: GgmlType, columns: number): GgmlType {
  if (columns % ggmlType(type).blockSize === 0) return type;
  const narrow = NARROW_TYPES[type] ?? 'F16';
  return columns % ggmlType(narrow).blockSize === 0 ? narrow : 'F16';
}

/** Every weight matrix in one type, what llama.cpp calls a pure quantization. */
export function uniformPlan(tensors: Iterable<TensorInfo>, type: GgmlType): TypePlan {
  const plan = new Map<string, GgmlType>();
  for (const info of tensors) {
    if (isQuantizable(info)) plan.set(info.name, typeForRows(type, info.shape[0]!));
  }
  return plan;
}
