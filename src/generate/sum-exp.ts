import { expNegative } from '../base/exp-negative.js';

/** The sum of e^(value − max), relative error below 1e-12; `max` is the largest value. */
export function sumExp(values: Float64Array, max: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += expNegative(values[i]! - max);
  return sum;
}
