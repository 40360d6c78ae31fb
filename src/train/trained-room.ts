import { EIGHT_BIT_BLOCK } from './eight-bit-maps.js';
import type { OptimizerKind } from './types.js';

/** Bytes from the first value of a trained block to what belongs to it, and how many follow the values in all. */
export interface TrainedRoom {
  readonly gradient: number;
  /** First and second moments: f32, or bytes with a scale per block. */
  readonly m: number;
  readonly v: number;
  readonly mScales: number;
  readonly vScales: number;
  readonly end: number;
}

/** Where gradients and moments of `elements` values are: behind them. Pure. */
export function trainedRoom(elements: number, optimizer: OptimizerKind): TrainedRoom {
  const moment = optimizer === 'adamw' ? 4 * elements : elements;
  const scales = optimizer === 'adamw' ? 0 : 4 * Math.ceil(elements / EIGHT_BIT_BLOCK);
  let at = 4 * elements;
  const next = (bytes: number) => {
    const start = Math.ceil(at / 64) * 64;
    at = start + bytes;
    return start;
  };
  const [gradient, m, v, mScales, vScales] = [4 * elements, moment, moment, scales, scales].map(next) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { gradient, m, v, mScales, vScales, end: at };
}
