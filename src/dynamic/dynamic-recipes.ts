import type { GgmlType } from '../formats/ggml-types.js';
import { type ModelShape, tensorKind } from './model-shape.js';
import type { Recipe } from './recipe.js';
import { isQuantizable, type TypePlan } from './type-plan.js';

// The six published dynamic rungs of Scout and of Maverick as rules, found by matching the sizes of the files. Layers
// are given as shares of the depth, so that a rule fits a model of any depth; of Scout's and Maverick's 48 layers,
// 1/8 are 6.

/** Layers from the share `from` of the depth up to, not including, `to`. */
interface Band {
  readonly from: number;
  readonly to: number;
}

/** A type for some kinds of matrices, in all layers or in those of some bands. */
interface Rule {
  readonly kinds: readonly string[];
  readonly bands?: readonly Band[];
  readonly type: GgmlType;
}

interface Rung {
  readonly name: string;
  readonly fileType: number;
  readonly base: GgmlType;
  /** The first rule that fits a matrix gives its type. */
  readonly rules: readonly Rule[];
}

const FIRST_EIGHTH: Band = { from: 0, to: 1 / 8 };
const SECOND_EIGHTH: Band = { from: 1 / 8, to: 1 / 4 };

/** Maverick's layers 1, 3 and 45, whose experts calibration text hardly reaches. */
const UNCALIBRATED: readonly Band[] = [
  { from: 0, to: 1 / 12 },
  { from: 11 / 12, to: 23 / 24 },
];

const EXPERT_INPUTS = ['ffn_gate_exps', 'ffn_up_exps'];
const EXPERT_OUTPUTS = ['ffn_down_exps'];
const SHARED_INPUTS = ['ffn_gate_shexp', 'ffn_up_shexp'];

/** What all rungs share, after their own rules. */
const COMMON: readonly Rule[] = [
  { kinds: ['output', 'ffn_down_shexp', 'ffn_down'], type: 'Q6_K' },
  {
    kinds: ['token_embd', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up'],
    type: 'Q4_K',
  },
];

const all = (kinds: readonly string[], type: GgmlType): Rule => ({ kinds, type });
const within = (kinds: readonly string[], bands: readonly Band[], type: GgmlType): Rule => ({
  kinds,
  bands,
  type,
});

const MIDDLE_RUNGS: readonly Rung[] = [
  {
    name: 'UD-Q2_K_XL',
    fileType: 10,
    base: 'Q2_K',
    rules: [
      all(EXPERT_INPUTS, 'Q2_K'),
      within(EXPERT_OUTPUTS, [FIRST_EIGHTH], 'Q4_K'),
      all(EXPERT_OUTPUTS, 'Q3_K'),
      all(SHARED_INPUTS, 'Q4_K'),
    ],
  },
  {
    name: 'UD-Q3_K_XL',
    fileType: 12,
    base: 'Q3_K',
    rules: [all(EXPERT_INPUTS, 'Q3_K'), all(EXPERT_OUTPUTS, 'Q4_K'), all(SHARED_INPUTS, 'Q4_K')],
  },
  {
    name: 'UD-Q4_K_XL',
    fileType: 15,
    base: 'Q4_K',
    rules: [
      all(EXPERT_INPUTS, 'Q4_K'),
      all(EXPERT_OUTPUTS, 'Q5_K'),
      all(SHARED_INPUTS, 'Q4_K'),
      all(['token_embd'], 'Q5_K'),
    ],
  },
];

/** The three lowest rungs: expert inputs in `type`, expert outputs at 3 to 4 bits. */
function lowRung(type: GgmlType, fileType: number, uncalibrated: readonly Band[], second: Rule[]): Rung {
  return {
    name: `UD-${type}`,
    fileType,
    base: type,
    rules: [
      within(EXPERT_INPUTS, uncalibrated, 'Q3_K'),
      all(EXPERT_INPUTS, type),
      within(EXPERT_OUTPUTS, [FIRST_EIGHTH, ...uncalibrated], 'Q4_K'),
      ...second,
      all(EXPERT_OUTPUTS, 'Q3_K'),
      all(SHARED_INPUTS, 'Q5_K'),
    ],
  };
}

function rungs(uncalibrated: readonly Band[]): readonly Rung[] {
  const secondEighth = [within(EXPERT_OUTPUTS, [SECOND_EIGHTH], 'IQ2_XXS')];
  return [
    lowRung('IQ1_S', 24, uncalibrated, secondEighth),
    lowRung('IQ1_M', 31, uncalibrated, secondEighth),
    lowRung('IQ2_XXS', 19, uncalibrated, []),
    ...MIDDLE_RUNGS,
  ];
}

/** For models whose layers all have experts. */
const SCOUT_RUNGS = rungs([]);
/** For models in which dense layers alternate with layers of experts. */
const MAVERICK_RUNGS = rungs(UNCALIBRATED);

/** `UD-IQ1_S` to `UD-Q4_K_XL`, mapped to the model they are applied to. */
export const DYNAMIC_RECIPES: readonly Recipe[] = SCOUT_RUNGS.map(({ name, fileType, base }, i) => ({
  name,
  fileType,
  base,
  types: (shape) => rungTypes((hasDenseLayers(shape) ? MAVERICK_RUNGS : SCOUT_RUNGS)[i]!, shape),
}));

function hasDenseLayers({ tensors }: ModelShape): boolean {
  return tensors.some(({ name }) => tensorKind(name).kind === 'ffn_down');
}

function rungTypes({ rules, base }: Rung, { tensors, layers }: ModelShape): TypePlan {
  const types = new Map<string, GgmlType>();
  for (const { name } of tensors.filter(isQuantizable)) {
    const { kind, layer = 0 } = tensorKind(name);
    const inBand = ({ from, to }: Band) => layer >= from * layers && layer < to * layers;
    const rule = [...rules, ...COMMON].find(
      ({ kinds, bands }) => kinds.includes(kind) && (bands === undefined || bands.some(inBand)),
    );
    types.set(name, rule?.type ?? base);
  }
  return types;
}
