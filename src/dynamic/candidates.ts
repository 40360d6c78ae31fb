import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import { MIN_EXPERT_TOKENS } from './coverage.js';
import { isQuantizable, typeForRows } from './type-plan.js';

/** What a weight matrix does in the network, as far as the choice of its bits depends on it. */
export type TensorRole =
  | 'attention'
  | 'output'
  | 'token_embd'
  | 'gate_up_exps'
  | 'down_exps'
  | 'shexp'
  | 'dense'
  | 'other';

/** Why a tensor may not have the smallest types; `none` where it may. */
export type Floor = 'none' | 'output-and-embeddings' | 'poorly-calibrated' | 'no-importance';

export interface Candidates {
  readonly role: TensorRole;
  /** Types it may have, ascending in bits; empty for a tensor that is left as it is. */
  readonly types: readonly GgmlType[];
  readonly floor: Floor;
}

export interface CandidateOptions {
  /** Without one, no tensor gets a type that needs it. */
  readonly imatrix?: Imatrix;
  /** Tokens below which an expert counts as poorly calibrated; default that of the coverage report. */
  readonly minTokens?: number;
  /** Types to choose from; default those that are best in error at their size. */
  readonly types?: readonly GgmlType[];
}

/**
 * Types that are worth offering: those of the same size that are always worse (Q4_0, Q5_0, MXFP4, the ternary ones)
 * would only cost time to measure.
 */
export const CANDIDATE_TYPES: readonly GgmlType[] = [
  'IQ1_S',
  'IQ1_M',
  'IQ2_XXS',
  'IQ2_XS',
  'IQ2_S',
  'Q2_K',
  'IQ3_XXS',
  'IQ3_S',
  'Q3_K',
  'IQ4_XS',
  'IQ4_NL',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'Q8_0',
];

/** Types whose grids are so coarse that rounding without importances ruins the weights. */
const NEEDS_IMPORTANCE: ReadonlySet<GgmlType> = new Set(['IQ1_S', 'IQ1_M', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S']);

/** Share of a tensor's experts that may be poorly calibrated before the whole tensor is held at its floor. */
const POOR_EXPERTS_ALLOWED = 0.1;

/** Bits per weight that output and embeddings, and the down projections of poorly calibrated experts, have at least. */
const FOUR_BITS = 4;
/** Bits per weight that gate and up projections of poorly calibrated experts have at least: from IQ3_XXS on. */
const THREE_BITS = 3;

const ROLES: readonly (readonly [RegExp, TensorRole])[] = [
  [/^output\.weight$/, 'output'],
  [/^token_embd\.weight$/, 'token_embd'],
  [/\.attn_(q|k|v|output)\.weight$/, 'attention'],
  [/\.ffn_(gate|up)_exps\.weight$/, 'gate_up_exps'],
  [/\.ffn_down_exps\.weight$/, 'down_exps'],
  [/\.ffn_(gate|up|down)_shexp\.weight$/, 'shexp'],
  [/\.ffn_(gate|up|down)\.weight$/, 'dense'],
];

export function tensorRole(name: string): TensorRole {
  return ROLES.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
}

export function bitsOfType(type: GgmlType): number {
  const { blockSize, typeSize } = ggmlType(type);
  return (typeSize * 8) / blockSize;
}

/**
 * The types a tensor may be given. Norms, the router and vectors get none; output and embeddings at least four bits;
 * experts that calibration hardly reached at least three bits (gate, up) or four (down), as in the published mixes;
 * IQ1 and IQ2 types only where importances are known. Types whose blocks do not divide the rows are replaced as in
 * `typeForRows`. A tensor is never offered more bits than it has.
 */
export function candidatesFor(tensor: TensorInfo, options: CandidateOptions = {}): Candidates {
  const role = tensorRole(tensor.name);
  if (!isQuantizable(tensor)) return { role, types: [], floor: 'none' };
  const offered = (options.types ?? CANDIDATE_TYPES).filter((type) => blockFormat(type).encode !== undefined);
  const floor = floorOf(tensor, role, options);
  const allowed = offered.filter((type) => allows(floor, role, type));
  const types = new Set(
    allowed
      .map((type) => typeForRows(type, tensor.shape[0]!))
      .filter((type) => bitsOfType(type) <= bitsOfType(tensor.type)),
  );
  return { role, types: [...types].sort((a, b) => bitsOfType(a) - bitsOfType(b)), floor };
}

function floorOf(tensor: TensorInfo, role: TensorRole, options: CandidateOptions): Floor {
  if (role === 'output' || role === 'token_embd') return 'output-and-embeddings';
  const entry = options.imatrix?.entries.get(tensor.name);
  if (entry === undefined) return 'no-importance';
  if (role !== 'gate_up_exps' && role !== 'down_exps') return 'none';
  const wanted = options.minTokens ?? MIN_EXPERT_TOKENS;
  const counts = Array.from(entry.counts);
  const poor = counts.filter((count) => count < wanted).length;
  return poor > POOR_EXPERTS_ALLOWED * counts.length ? 'poorly-calibrated' : 'none';
}

function allows(floor: Floor, role: TensorRole, type: GgmlType): boolean {
  const bits = bitsOfType(type);
  switch (floor) {
    case 'none':
      return true;
    case 'output-and-embeddings':
      return bits >= FOUR_BITS;
    case 'no-importance':
      return !NEEDS_IMPORTANCE.has(type);
    case 'poorly-calibrated':
      return bits >= (role === 'down_exps' ? FOUR_BITS : THREE_BITS);
  }
}
