import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EmbeddingRows } from './embedding-rows.js';

describe('EmbeddingRows', () => {
  it('gives each row a negative id of its own and the row back for it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 8 }), (counts) => {
        const held = new EmbeddingRows(4, 1000);
        const added = counts.flatMap((count, run) => {
          const rows = Float32Array.from({ length: count * 4 }, (_, i) => run * 100 + i);
          return held.add(rows).map((id, i) => ({ id, row: [...rows.subarray(i * 4, i * 4 + 4)] }));
        });
        expect(new Set(added.map(({ id }) => id)).size).toBe(added.length);
        for (const { id, row } of added) {
          expect(id).toBeLessThan(0);
          expect([...held.row(id)]).toEqual(row);
        }
      }),
    );
  });

  it('forgets what was used longest ago, and never gives its ids to others', () => {
    const held = new EmbeddingRows(4, 10);
    const rows = (count: number) => new Float32Array(count * 4);
    const [first, second, third] = [held.add(rows(4)), held.add(rows(4)), held.add(rows(2))];
    expect(held.row(first[0]!)).toHaveLength(4);
    const fourth = held.add(rows(3));
    expect([first, second, third, fourth].map((ids) => held.has(ids.at(-1)!))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect(() => held.row(second[0]!)).toThrow(/encode it again/);
    const large = held.add(rows(50));
    expect([first, third, fourth, large].map((ids) => held.has(ids[0]!))).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(large[0]).toBe(-14);
  });

  it('refuses what are not rows', () => {
    expect(() => new EmbeddingRows(4, 10).add(new Float32Array(6))).toThrow(/rows of 4/);
  });
});
