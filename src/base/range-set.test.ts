import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RangeSet } from './range-set.js';

const positionsOf = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);

test('agrees with a plain set of positions', () => {
  const range = fc.tuple(fc.nat(40), fc.nat(8));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), range, (ranges, [from, length]) => {
      const set = new RangeSet();
      const seen = new Set<number>();
      for (const [start, size] of ranges) {
        const positions = Array.from({ length: size }, (_, i) => start + i);
        const free = positions.every((position) => !seen.has(position));
        expect(set.add(start, start + size)).toBe(free);
        if (free) for (const position of positions) seen.add(position);
      }
      expect(set.size).toBe(seen.size);
      const missing = Array.from({ length: 50 }, (_, i) => i).filter((position) => !seen.has(position));
      expect(set.missing(50).flatMap(({ start, end }) => positionsOf(start, end))).toEqual(missing);
      expect(set.ranges.flatMap(({ start, end }) => positionsOf(start, end))).toHaveLength(seen.size);
      expect(set.prefix).toBe(missing[0] ?? 50);
      const covered = Array.from({ length }, (_, i) => from + i).every((position) => seen.has(position));
      expect(set.covers(from, from + length)).toBe(covered);
    }),
  );
});
