import type { PreferenceFigures } from './events.js';
import type { TrainingBatch } from './types.js';

// Direct preference optimization (https://arxiv.org/abs/2305.18290): the loss of a pair is −log σ(β m), where m is how
// much further than the reference the model prefers the chosen answer to the rejected one.

/** Sums over one batch of pairs. */
export interface PreferenceLoss {
  /** Σ −log σ(β m) over the pairs. */
  readonly sum: number;
  readonly pairs: number;
  /** [T] factors of each token's −log p, whose gradient is that of `sum`. */
  readonly weights: Float32Array;
  readonly figures: PreferenceFigures;
}

/** −log p of every sequence: sums over its tokens, in the order of the batch. */
export function sequenceSums(
  { sequences }: Pick<TrainingBatch, 'sequences'>,
  likelihoods: Float32Array,
): Float64Array {
  const last = sequences.reduce((most, sequence) => Math.max(most, sequence), -1);
  const sums = new Float64Array(last + 1);
  for (const [token, sequence] of sequences.entries()) sums[sequence]! += likelihoods[token]!;
  return sums;
}

/**
 * The loss of pairs: sequence 2k is chosen, 2k + 1 rejected.
 * @param model −log p of each sequence
 * @param reference the same of the model that training started from
 */
export function preferenceLoss(
  batch: Pick<TrainingBatch, 'sequences'>,
  model: Float64Array,
  reference: Float64Array,
  beta: number,
): PreferenceLoss {
  const pairs = model.length / 2;
  const factors = new Float64Array(model.length);
  const totals = { sum: 0, chosen: 0, rejected: 0, right: 0 };
  for (let pair = 0; pair < pairs; pair++) {
    const reward = (sequence: number) => beta * (reference[sequence]! - model[sequence]!);
    const [chosen, rejected] = [reward(2 * pair), reward(2 * pair + 1)];
    const margin = chosen - rejected;
    totals.sum += softplus(-margin);
    totals.chosen += chosen;
    totals.rejected += rejected;
    totals.right += margin > 0 ? 1 : 0;
    factors[2 * pair] = beta / (1 + Math.exp(margin));
    factors[2 * pair + 1] = -factors[2 * pair]!;
  }
  const figures = {
    margin: (totals.chosen - totals.rejected) / pairs,
    accuracy: totals.right / pairs,
    chosenReward: totals.chosen / pairs,
    rejectedReward: totals.rejected / pairs,
  };
  const weights = Float32Array.from(batch.sequences, (sequence) => factors[sequence]!);
  return { sum: totals.sum, pairs, weights, figures };
}

/** The figures of several batches as those of all their pairs. */
export function joinFigures(
  parts: readonly { readonly pairs: number; readonly figures: PreferenceFigures }[],
): PreferenceFigures {
  const all = parts.reduce((sum, { pairs }) => sum + pairs, 0);
  const mean = (key: keyof PreferenceFigures) =>
    parts.reduce((sum, { pairs, figures }) => sum + (figures[key] * pairs) / all, 0);
  return {
    margin: mean('margin'),
    accuracy: mean('accuracy'),
    chosenReward: mean('chosenReward'),
    rejectedReward: mean('rejectedReward'),
  };
}

/** log(1 + eˣ), without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
