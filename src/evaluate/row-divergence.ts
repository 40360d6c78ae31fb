import { expNegative } from '../base/exp-negative.js';
import { indexOfLargest, logSumExp } from './log-softmax.js';
import type { StoredRow } from './stored-log-probs.js';

/** How one prediction of a model differs from that of its reference. */
export interface RowDivergence {
  /** KL(reference ‖ model) in nats. */
  readonly kld: number;
  /** −log of the probability of the token that follows, in nats. */
  readonly nll: number;
  readonly referenceNll: number;
  /** Both give the same token the highest probability. */
  readonly sameTop: boolean;
}

/** The divergence of `logits` from the logits of the reference, over the whole vocabulary. */
export function compareLogits(reference: Float32Array, logits: Float32Array, target: number): RowDivergence {
  const referenceTop = indexOfLargest(reference);
  const top = indexOfLargest(logits);
  const referenceMax = reference[referenceTop]!;
  const max = logits[top]!;
  // With logits a and b, KL = Σ p (a − b) − log Σ eᵃ + log Σ eᵇ: one pass, and exactly 0 for equal logits.
  let referenceSum = 0;
  let sum = 0;
  let weighted = 0;
  for (let i = 0; i < logits.length; i++) {
    const a = reference[i]!;
    const b = logits[i]!;
    const weight = expNegative(a - referenceMax);
    referenceSum += weight;
    sum += expNegative(b - max);
    if (weight > 0) weighted += weight * (a - b);
  }
  const referenceTotal = referenceMax + Math.log(referenceSum);
  const total = max + Math.log(sum);
  return {
    kld: weighted / referenceSum - referenceTotal + total,
    nll: total - logits[target]!,
    referenceNll: referenceTotal - reference[target]!,
    sameTop: top === referenceTop,
  };
}

/** Reference probabilities up to e^this are left out, as llama-perplexity does: 16-bit rows do not resolve them. */
const LOWEST_LOG_PROB = -16;

/** The divergence of `logits` from a row of 16-bit log-probabilities, as llama-perplexity computes it. */
export function compareWithStored(row: StoredRow, logits: Float32Array, target: number): RowDivergence {
  const { levels, scale, floor } = row;
  const total = logSumExp(logits);
  let mass = 0;
  let weighted = 0;
  for (let i = 0; i < logits.length; i++) {
    const logProb = scale * levels[i]! + floor;
    if (logProb > LOWEST_LOG_PROB) {
      const weight = expNegative(logProb);
      mass += weight;
      weighted += weight * (logProb - logits[i]!);
    }
  }
  return {
    kld: weighted + mass * total,
    nll: total - logits[target]!,
    referenceNll: -(scale * levels[target]! + floor),
    sameTop: indexOfLargest(logits) === indexOfLargest(levels),
  };
}
