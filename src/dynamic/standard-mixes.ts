import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import { type ModelShape, tensorKind } from './model-shape.js';
import type { Recipe } from './recipe.js';
import { isQuantizable, type TypePlan, uniformPlan } from './type-plan.js';

// llama.cpp's mixes (llama-quant.cpp and llama.h, v0.5.0), for models without fused attention matrices.

/** Where a matrix is, and what its mix asks about the model. */
interface Place {
  readonly layer: number;
  readonly layers: number;
  /** Counts the down projections, of experts or not, by layer and name. */
  readonly down: number;
  readonly eightExperts: boolean;
  readonly manyExperts: boolean;
  /** At least four queries share a key: key and value matrices are small. */
  readonly grouped: boolean;
  readonly hasImportance: boolean;
}

/** Undefined stands for the mix's base type. */
type Rule = (place: Place) => GgmlType | undefined;

interface Mix {
  readonly fileType: number;
  readonly base: GgmlType;
  readonly output?: GgmlType;
  readonly tokenEmbedding?: GgmlType;
  readonly q?: Rule;
  readonly k?: Rule;
  readonly v?: Rule;
  readonly attentionOutput?: Rule;
  readonly down?: Rule;
  readonly gateUp?: Rule;
}

const always =
  (type: GgmlType): Rule =>
  () =>
    type;
/** The first and last eighth of the layers, and every third between. */
const moreBits = ({ layer, layers }: Place): boolean => {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};
const firstEighth = ({ layer, layers }: Place): boolean => layer < Math.floor(layers / 8);
const middle = (place: Place): boolean =>
  !firstEighth(place) && place.layer < Math.floor((7 * place.layers) / 8);
const when =
  (condition: (place: Place) => boolean, type: GgmlType, otherwise?: GgmlType): Rule =>
  (place) =>
    condition(place) ? type : otherwise;
const eightExperts = (type: GgmlType, otherwise?: GgmlType): Rule =>
  when((place) => place.eightExperts, type, otherwise);
const grouped = (type: GgmlType, otherwise?: GgmlType): Rule =>
  when((place) => place.grouped, type, otherwise);

/** The lowest mixes keep some tensors at two or three bits more. */
const lowest = (fileType: number, base: GgmlType, attentionOutput?: GgmlType): Mix => ({
  fileType,
  base,
  output: 'Q5_K',
  tokenEmbedding: 'Q2_K',
  k: eightExperts('Q4_K'),
  v: when((place) => place.grouped || place.manyExperts, 'Q4_K', 'Q2_K'),
  down: when((place) => place.down < Math.floor(place.layers / 8), 'Q2_K'),
  attentionOutput: eightExperts('Q5_K', attentionOutput),
});
const low = (fileType: number, base: GgmlType): Mix => ({
  ...lowest(fileType, base, 'IQ3_S'),
  tokenEmbedding: 'IQ3_S',
  v: when((place) => place.grouped || place.manyExperts, 'Q4_K', 'IQ3_S'),
  down: when((place) => place.down < Math.floor(place.layers / 8), 'IQ3_S'),
});
/** With eight experts attention is so small a part that keys and values get Q8_0, except in the lowest mixes. */
const plain = (fileType: number, base: GgmlType, more: Partial<Mix> = {}): Mix => ({
  fileType,
  base,
  k: eightExperts('Q8_0'),
  ...more,
  v: (place) => (place.eightExperts ? 'Q8_0' : more.v?.(place)),
});
const fourBit = (fileType: number, base: GgmlType): Mix =>
  plain(fileType, base, {
    v: grouped('Q5_K'),
    down: when((place) => firstEighth(place) && !place.hasImportance, 'Q5_K'),
    attentionOutput: eightExperts('Q5_K'),
  });

const MIXES: Readonly<Record<string, Mix>> = {
  Q8_0: plain(7, 'Q8_0', { output: 'Q8_0' }),
  Q6_K: plain(18, 'Q6_K'),
  Q5_K_M: plain(17, 'Q5_K', { v: when(moreBits, 'Q6_K'), down: when(moreBits, 'Q6_K') }),
  Q5_K_S: plain(16, 'Q5_K'),
  Q5_1: plain(9, 'Q5_1'),
  Q5_0: plain(8, 'Q5_0', { down: when((place) => firstEighth(place) && place.hasImportance, 'Q5_1') }),
  Q4_K_M: plain(15, 'Q4_K', {
    v: when(moreBits, 'Q6_K'),
    down: when(moreBits, 'Q6_K'),
    attentionOutput: eightExperts('Q5_K'),
  }),
  Q4_K_S: plain(14, 'Q4_K', {
    v: when(({ layer }) => layer < 4, 'Q5_K'),
    down: when(firstEighth, 'Q5_K'),
    attentionOutput: eightExperts('Q5_K'),
  }),
  Q4_1: plain(3, 'Q4_1'),
  Q4_0: plain(2, 'Q4_0', { down: when((place) => firstEighth(place) && place.hasImportance, 'Q4_1') }),
  IQ4_NL: fourBit(25, 'IQ4_NL'),
  IQ4_XS: fourBit(30, 'IQ4_XS'),
  Q3_K_L: plain(13, 'Q3_K', {
    v: always('Q5_K'),
    down: always('Q5_K'),
    attentionOutput: (place) => (place.eightExperts ? undefined : 'Q5_K'),
  }),
  Q3_K_M: plain(12, 'Q3_K', {
    v: when(({ layer }) => layer < 2, 'Q5_K', 'Q4_K'),
    down: when(({ layer, layers }) => layer < Math.floor(layers / 16), 'Q5_K', 'Q4_K'),
    attentionOutput: eightExperts('Q5_K', 'Q4_K'),
  }),
  Q3_K_S: plain(11, 'Q3_K', { attentionOutput: eightExperts('Q5_K') }),
  IQ3_M: plain(27, 'IQ3_S', {
    v: always('Q4_K'),
    down: when((place) => firstEighth(place) || (place.eightExperts && moreBits(place)), 'Q4_K'),
    attentionOutput: eightExperts('Q5_K', 'Q4_K'),
  }),
  IQ3_S: plain(26, 'IQ3_S', { v: grouped('Q4_K'), attentionOutput: eightExperts('Q5_K') }),
  IQ3_XS: plain(22, 'IQ3_S', {
    q: always('IQ3_XXS'),
    k: eightExperts('Q8_0', 'IQ3_XXS'),
    v: grouped('Q4_K'),
    attentionOutput: eightExperts('Q5_K'),
    gateUp: when(middle, 'IQ3_XXS'),
  }),
  IQ3_XXS: plain(23, 'IQ3_XXS', {
    output: 'Q5_K',
    tokenEmbedding: 'IQ3_S',
    q: always('IQ2_S'),
    k: eightExperts('Q8_0', 'IQ2_S'),
    v: (place) => (place.grouped ? 'Q4_K' : place.hasImportance ? 'IQ3_XXS' : 'IQ3_S'),
    down: (place) => (place.hasImportance ? undefined : firstEighth(place) ? 'Q4_K' : 'Q3_K'),
    attentionOutput: eightExperts('Q5_K', 'IQ3_S'),
  }),
  Q2_K: plain(10, 'Q2_K', {
    v: grouped('Q4_K', 'Q3_K'),
    down: always('Q3_K'),
    attentionOutput: eightExperts('Q5_K', 'Q3_K'),
  }),
  Q2_K_S: plain(21, 'Q2_K', { v: grouped('Q4_K'), down: when(firstEighth, 'Q4_K') }),
  IQ2_M: low(29, 'IQ2_S'),
  IQ2_S: low(28, 'IQ2_XS'),
  IQ2_XS: lowest(20, 'IQ2_XS'),
  IQ2_XXS: lowest(19, 'IQ2_XXS'),
  IQ1_M: lowest(31, 'IQ1_M', 'IQ2_XXS'),
  IQ1_S: lowest(24, 'IQ1_S', 'IQ2_XXS'),
  TQ2_0: plain(37, 'TQ2_0', { tokenEmbedding: 'Q4_K' }),
  TQ1_0: plain(36, 'TQ1_0', { tokenEmbedding: 'Q4_K' }),
  NVFP4: plain(39, 'NVFP4'),
  Q2_0: plain(41, 'Q2_0'),
  Q1_0: plain(40, 'Q1_0'),
};

/** Types without blocks: every weight matrix gets the same. */
const FLOATS: readonly (readonly [type: GgmlType, fileType: number])[] = [
  ['F32', 0],
  ['BF16', 32],
  ['F16', 1],
];

export const STANDARD_MIXES: readonly Recipe[] = [
  ...FLOATS.map(
    ([type, fileType]): Recipe => ({
      name: type,
      fileType,
      base: type,
      types: ({ tensors }) => uniformPlan(tensors, type),
    }),
  ),
  ...Object.entries(MIXES).map(
    ([name, mix]): Recipe => ({
      name,
      fileType: mix.fileType,
      base: mix.base,
      types: (shape, hasImportance) => mixTypes(mix, shape, hasImportance),
    }),
  ),
  {
    name: 'MXFP4_MOE',
    fileType: 38,
    base: 'MXFP4',
    types: ({ tensors }) =>
      new Map(
        tensors.filter(isQuantizable).map(({ name, shape }) => [name, shape.length > 2 ? 'MXFP4' : 'Q8_0']),
      ),
  },
];

/** Short names that llama-quantize takes. */
export const MIX_ALIASES: Readonly<Record<string, string>> = {
  Q3_K: 'Q3_K_M',
  Q4_K: 'Q4_K_M',
  Q5_K: 'Q5_K_M',
  MXFP4: 'MXFP4_MOE',
};

function mixTypes(mix: Mix, shape: ModelShape, hasImportance: boolean): TypePlan {
  const { layers, experts, queriesPerKey } = shape;
  const matrices = shape.tensors.filter(isQuantizable);
  const downs = downOrder(matrices.map(({ name }) => name));
  const tied = !matrices.some(({ name }) => name === 'output.weight');
  const types = new Map<string, GgmlType>();
  for (const { name, shape: dimensions } of matrices) {
    const { kind, layer = 0 } = tensorKind(name);
    // Embeddings that also compute the output are treated as the output.
    const wholeBlocks = dimensions[0]! % ggmlType(mix.base).blockSize === 0;
    const rule =
      kind === 'output' || (kind === 'token_embd' && tied)
        ? always(wholeBlocks ? (mix.output ?? 'Q6_K') : 'Q8_0')
        : kind === 'token_embd'
          ? always(mix.tokenEmbedding ?? mix.base)
          : ruleOf(mix, kind);
    const place: Place = {
      layer,
      layers,
      down: downs.get(name) ?? 0,
      eightExperts: experts === 8,
      manyExperts: experts >= 4,
      grouped: queriesPerKey >= 4,
      hasImportance,
    };
    types.set(name, rule?.(place) ?? mix.base);
  }
  return types;
}

function ruleOf(mix: Mix, kind: string): Rule | undefined {
  switch (kind) {
    case 'attn_q':
      return mix.q;
    case 'attn_k':
      return mix.k;
    case 'attn_v':
      return mix.v;
    case 'attn_output':
      return mix.attentionOutput;
  }
  if (kind.startsWith('ffn_down')) return mix.down;
  return /^ffn_(gate|up)/.test(kind) ? mix.gateUp : undefined;
}

function downOrder(names: readonly string[]): Map<string, number> {
  const downs = names
    .map((name) => ({ name, ...tensorKind(name) }))
    .filter(({ kind }) => kind.startsWith('ffn_down'))
    .sort((a, b) => (a.layer ?? 0) - (b.layer ?? 0) || (a.name < b.name ? -1 : 1));
  return new Map(downs.map(({ name }, i) => [name, i]));
}
