import { inverseOf, type Levels, moments } from './scale-fit.js';

/** Unevenly spaced levels under one scale. */
export interface TableLevels extends Levels {
  /** Position, in the ascending table, of the level nearest to `value / scale`, given `1 / scale`. */
  nearest(value: number, inverse: number): number;
}

/**
 * Levels from ascending integers. Between two of them lies a multiple of one half, so the nearest level of x
 * depends on ⌊2x⌋ only, and is looked up.
 */
export function tableLevels(table: ArrayLike<number>): TableLevels {
  const first = 2 * table[0]!;
  const last = 2 * table[table.length - 1]!;
  const positions = new Uint8Array(last - first + 1);
  for (let doubled = first, position = 0; doubled <= last; doubled++) {
    while (position + 1 < table.length && doubled >= table[position]! + table[position + 1]!) {
      position++;
    }
    positions[doubled - first] = position;
  }
  const nearest = (value: number, inverse: number): number => {
    const doubled = Math.floor(2 * value * inverse);
    return positions[Math.min(Math.max(doubled, first), last) - first]!;
  };
  return {
    reach: Math.max(-table[0]!, table[table.length - 1]!),
    nearest,
    measure(values, weights, from, count, scale) {
      const inverse = inverseOf(scale);
      let p = 0;
      let q = 0;
      for (let i = from; i < from + count; i++) {
        const level = table[nearest(values[i]!, inverse)]!;
        const weighted = weights[i]! * level;
        p += weighted * values[i]!;
        q += weighted * level;
      }
      moments.p = p;
      moments.q = q;
    },
  };
}
