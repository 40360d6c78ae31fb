import { type BatchLimits, packExamples } from './packing.js';
import { shuffle } from './shuffle.js';

/** Streams of pseudorandom numbers: an epoch's order of examples, and of batches. */
const STREAMS_PER_EPOCH = 2;

/**
 * The batches of an epoch as lists of examples. They follow from the arguments alone, so that a run that was
 * interrupted goes on at any batch of any epoch.
 */
export function planEpoch(
  examples: readonly number[],
  tokens: (example: number) => number,
  limits: BatchLimits,
  { seed, epoch }: { readonly seed: number; readonly epoch: number },
): number[][] {
  const order = Float64Array.from(examples);
  shuffle(order, seed, STREAMS_PER_EPOCH * epoch);
  const batches = packExamples(order, tokens, limits);
  // Packing puts long examples first within its window.
  const turns = Array.from(batches, (_, i) => i);
  shuffle(turns, seed, STREAMS_PER_EPOCH * epoch + 1);
  return turns.map((turn) => batches[turn]!);
}
