import type { Llama4Config } from '../convert/llama4-config.js';
import type { Imatrix } from '../formats/imatrix/index.js';

/**
 * Tokens below which an expert counts as poorly calibrated. The mean square of n values with a normal distribution
 * is known to √(2/n): 9% at 256. Activations have heavier tails than that.
 */
export const MIN_EXPERT_TOKENS = 256;

export interface LayerCoverage {
  readonly layer: number;
  readonly experts: number;
  /** Tokens that the experts of this layer saw together. */
  readonly tokens: number;
  /** Tokens of each expert. */
  readonly expertTokens: readonly number[];
  readonly fewestTokens: number;
  readonly medianTokens: number;
  /** Experts with fewer tokens than the threshold, ascending. */
  readonly poorExperts: readonly number[];
  /** Those of them that saw no token at all. */
  readonly unseenExperts: readonly number[];
  /** `poorExperts` as a share of all, 0 to 1. */
  readonly poorShare: number;
  /** Tensors whose importance data the poor experts make unreliable. */
  readonly tensorsAtRisk: readonly string[];
}

export interface CoverageReport {
  /** The threshold applied. */
  readonly minTokens: number;
  /** Mixture-of-experts layers. */
  readonly layers: readonly LayerCoverage[];
  /** Over all layers. */
  readonly poorShare: number;
  /** What text would help, one line each; empty when nothing needs help. */
  readonly suggestions: readonly string[];
}

/** How often the tokens of one text reached the experts, by tensor. */
export interface TextReach {
  readonly name: string;
  readonly counts: ReadonlyMap<string, ArrayLike<number>>;
}

const EXPERT_TENSORS = ['ffn_gate_exps', 'ffn_up_exps', 'ffn_down_exps'] as const;

/**
 * Which experts of a model an importance matrix knows too little about. `texts` says which text reached which
 * experts, where that is known. Pure. Legacy files have no counts per expert, so all of theirs look alike.
 */
export function coverageReport(
  imatrix: Imatrix,
  config: Pick<Llama4Config, 'moeLayers' | 'expertCount'>,
  options: { readonly minTokens?: number; readonly texts?: readonly TextReach[] } = {},
): CoverageReport {
  const { minTokens = MIN_EXPERT_TOKENS, texts = [] } = options;
  const layers = config.moeLayers.flatMap((moe, layer) =>
    moe ? [layerCoverage(imatrix, layer, config.expertCount, minTokens)] : [],
  );
  const experts = layers.reduce((sum, layer) => sum + layer.experts, 0);
  const poor = layers.reduce((sum, layer) => sum + layer.poorExperts.length, 0);
  return {
    minTokens,
    layers,
    poorShare: experts === 0 ? 0 : poor / experts,
    suggestions: suggestText(imatrix, layers, minTokens, texts),
  };
}

function expertTensor(layer: number, part: (typeof EXPERT_TENSORS)[number]): string {
  return `blk.${layer}.${part}.weight`;
}

function expertCounts(counts: ArrayLike<number> | undefined, experts: number): number[] {
  // A legacy file has one count for all experts of a tensor.
  if (counts?.length === 1) return new Array<number>(experts).fill(counts[0]!);
  return Array.from({ length: experts }, (_, expert) => counts?.[expert] ?? 0);
}

function layerCoverage(imatrix: Imatrix, layer: number, experts: number, minTokens: number): LayerCoverage {
  const tensors = EXPERT_TENSORS.map((part) => expertTensor(layer, part));
  const countsOf = (name: string) => expertCounts(imatrix.entries.get(name)?.counts, experts);
  const isPoor = (count: number) => count < minTokens;
  const byTensor = tensors.map(countsOf);
  const counts = Array.from({ length: experts }, (_, expert) =>
    Math.min(...byTensor.map((tensor) => tensor[expert]!)),
  );
  const indices = (wanted: (count: number) => boolean) =>
    counts.flatMap((count, expert) => (wanted(count) ? [expert] : []));
  const sorted = counts.toSorted((a, b) => a - b);
  const poorExperts = indices(isPoor);
  return {
    layer,
    experts,
    tokens: counts.reduce((sum, count) => sum + count, 0),
    expertTokens: counts,
    fewestTokens: sorted[0] ?? 0,
    medianTokens: sorted[experts >> 1] ?? 0,
    poorExperts,
    unseenExperts: indices((count) => count === 0),
    poorShare: experts === 0 ? 0 : poorExperts.length / experts,
    tensorsAtRisk: tensors.filter((_, i) => byTensor[i]!.some(isPoor)),
  };
}

/** More windows of the same text than this many times those there are will hardly be what somebody wants to wait for. */
const WORTHWHILE_FACTOR = 20;

function suggestText(
  imatrix: Imatrix,
  layers: readonly LayerCoverage[],
  minTokens: number,
  texts: readonly TextReach[],
): string[] {
  const poor = layers.filter(({ poorExperts }) => poorExperts.length > 0);
  if (poor.length === 0) return [];
  const suggestions: string[] = [];

  const rare = poor.flatMap(({ layer, experts, poorExperts }) => {
    const counts = expertCounts(imatrix.entries.get(expertTensor(layer, 'ffn_gate_exps'))?.counts, experts);
    return poorExperts.map((expert) => counts[expert]!).filter((count) => count > 0);
  });
  if (rare.length > 0) {
    const factors = rare.map((count) => minTokens / count).filter((factor) => factor <= WORTHWHILE_FACTOR);
    const windows = Math.ceil(imatrix.chunkCount * Math.max(...factors, 0));
    suggestions.push(
      factors.length === 0
        ? `${experts(rare.length)} saw so few tokens that more of the same text would not help`
        : `about ${windows} windows of such text (now ${imatrix.chunkCount}) would give ` +
            `${factors.length} of the ${experts(rare.length)} that saw too few tokens their ${minTokens}`,
    );
  }

  const unseen = poor.reduce((sum, layer) => sum + layer.unseenExperts.length, 0);
  if (unseen > 0) {
    const where = poor.filter(({ unseenExperts }) => unseenExperts.length > 0).map(({ layer }) => layer);
    suggestions.push(
      `${experts(unseen)} saw no token (${where.length === 1 ? 'layer' : 'layers'} ${where.join(', ')}): ` +
        'add kinds of text that are missing, such as other languages, source code, mathematics, or chats',
    );
  }

  const best = mostUsefulText(poor, texts);
  if (best) {
    suggestions.push(
      `'${best.name}' reaches these experts ${best.advantage.toFixed(1)} times as often as the average text: ` +
        'more like it helps most',
    );
  }
  return suggestions;
}

function experts(count: number): string {
  return `${count} ${count === 1 ? 'expert' : 'experts'}`;
}

/** Advantages below this may as well be chance. */
const CLEAR_ADVANTAGE = 1.25;

/** The text whose tokens reach the poor experts most often, if it stands out. */
function mostUsefulText(
  poor: readonly LayerCoverage[],
  texts: readonly TextReach[],
): { name: string; advantage: number } | undefined {
  const reach = texts.map(({ name, counts }) => {
    let hits = 0;
    let tokens = 0;
    for (const { layer, experts, poorExperts } of poor) {
      const found = expertCounts(counts.get(expertTensor(layer, 'ffn_gate_exps')), experts);
      hits += poorExperts.reduce((sum, expert) => sum + found[expert]!, 0);
      tokens += found.reduce((sum, count) => sum + count, 0);
    }
    return { name, hits, tokens };
  });
  const hits = reach.reduce((sum, text) => sum + text.hits, 0);
  const tokens = reach.reduce((sum, text) => sum + text.tokens, 0);
  if (texts.length < 2 || hits === 0) return undefined;
  const ranked = reach
    .filter((text) => text.tokens > 0)
    .map((text) => ({ name: text.name, advantage: text.hits / text.tokens / (hits / tokens) }))
    .sort((a, b) => b.advantage - a.advantage);
  return ranked[0] && ranked[0].advantage >= CLEAR_ADVANTAGE ? ranked[0] : undefined;
}
