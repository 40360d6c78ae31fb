import { expNegative } from '../base/exp-negative.js';

/** −log softmax(logits)[target] in nats, with the sum in double precision. */
export function negativeLogLikelihood(logits: Float32Array, target: number): number {
  return logSumExp(logits) - logits[target]!;
}

/** log Σ e^logit, in double precision. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[indexOfLargest(logits)]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += expNegative(logits[i]! - max);
  return max + Math.log(sum);
}

/** Index of the largest value, the first of several. */
export function indexOfLargest(values: Float32Array | Uint16Array): number {
  let at = 0;
  let max = values[0]!;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > max) {
      max = values[i]!;
      at = i;
    }
  }
  return at;
}
