import { HEAT_STEPS } from './charts/layer-heatmap.js';
import { percent } from './figures.js';

/** A scale that is the same for every file, so that their maps compare: the upper border of each step but the last. */
export interface HeatScale {
  readonly ramp: 'bits' | 'error';
  readonly borders: readonly number[];
  /** What the steps are called. */
  readonly names: readonly string[];
}

/** Steps are the families of types: 1, 2, 2½, 3, 4, 5, 6, 8 and 16 bits. */
export const BITS_SCALE: HeatScale = {
  ramp: 'bits',
  borders: [1.9, 2.4, 2.8, 3.6, 4.8, 5.8, 7, 9],
  names: ['1.6', '2', '2.6', '3.3', '4.3', '5.5', '6.6', '8.5', '16+'],
};

const ERROR_BORDERS = [3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1];

export const ERROR_SCALE: HeatScale = {
  ramp: 'error',
  borders: ERROR_BORDERS,
  names: [...ERROR_BORDERS.map((border) => `≤ ${percent(border).replace(/\.?0+%$/, '%')}`), 'more'],
};

/** Step of a value, 0 to HEAT_STEPS − 1. */
export function heatStep({ borders }: HeatScale, value: number): number {
  const step = borders.findIndex((border) => value <= border);
  return step < 0 ? HEAT_STEPS - 1 : step;
}
