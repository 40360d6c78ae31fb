import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';

/** The type each tensor of a model is to have, by name. Tensors that are absent keep theirs. */
export type TypePlan = ReadonlyMap<string, GgmlType>;

/** Types that were asked for, before rows are looked at. */
export interface TypeRequest {
  /** Types by tensor name, of a recipe, a plan file or the allocator. */
  readonly types: TypePlan;
  /** Win over `types`; the first pattern that is found in a name counts. */
  readonly overrides?: readonly TypeOverride[];
  /** Win over everything. */
  readonly output?: GgmlType;
  readonly tokenEmbedding?: GgmlType;
}

export interface TypeOverride {
  readonly pattern: RegExp;
  readonly type: GgmlType;
}

/** A tensor whose rows the blocks of the type asked for do not divide, and the type it gets instead. */
export interface Fallback {
  readonly name: string;
  readonly columns: number;
  readonly wanted: GgmlType;
  readonly type: GgmlType;
}

export interface ResolvedPlan {
  readonly plan: TypePlan;
  readonly fallbacks: readonly Fallback[];
}

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

/** The plan for a model: what was asked for of its weight matrices, in types that their rows allow. */
export function resolvePlan(tensors: Iterable<TensorInfo>, request: TypeRequest): ResolvedPlan {
  const plan = new Map<string, GgmlType>();
  const fallbacks: Fallback[] = [];
  for (const info of tensors) {
    const wanted = isQuantizable(info) ? wantedType(info.name, request) : undefined;
    if (wanted === undefined) continue;
    const { name } = info;
    const columns = info.shape[0]!;
    const type = typeForRows(wanted, columns);
    plan.set(name, type);
    if (type !== wanted) fallbacks.push({ name, columns, wanted, type });
  }
  return { plan, fallbacks };
}

function wantedType(name: string, request: TypeRequest): GgmlType | undefined {
  const special =
    name === 'output.weight'
      ? request.output
      : name === 'token_embd.weight'
        ? request.tokenEmbedding
        : undefined;
  return (
    special ?? request.overrides?.find(({ pattern }) => pattern.test(name))?.type ?? request.types.get(name)
  );
}

/** Every weight matrix in one type, what llama.cpp calls a pure quantization. */
export function uniformPlan(tensors: Iterable<TensorInfo>, type: GgmlType): TypePlan {
  const types = new Map<string, GgmlType>();
  for (const info of tensors) {
    if (isQuantizable(info)) types.set(info.name, type);
  }
  return types;
}
