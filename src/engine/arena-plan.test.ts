import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_BYTES, planArenas } from './arena-plan.js';

const sizes = (max: number) => fc.array(fc.integer({ min: 0, max }), { maxLength: 20 });

describe('planArenas', () => {
  it('never overlaps blocks and never exceeds the limit', () => {
    fc.assert(
      fc.property(sizes(2000), sizes(2000), sizes(200_000), (common, home, blocks) => {
        const limit = PAGE_BYTES * 5;
        const plan = planArenas({ common, home, blocks, limit });
        for (const [arena, bytes] of plan.arenaBytes.entries()) {
          expect(bytes).toBeLessThanOrEqual(limit);
          const spans = [
            ...common.map((size, i) => [plan.common[i]!, size] as const),
            ...(arena === 0 ? home.map((size, i) => [plan.home[i]!, size] as const) : []),
            ...blocks.flatMap((size, i) =>
              plan.blocks[i]!.arena === arena ? [[plan.blocks[i]!.offset, size] as const] : [],
            ),
          ].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
          let end = PAGE_BYTES;
          for (const [offset, size] of spans) {
            expect(offset).toBeGreaterThanOrEqual(end);
            expect(offset % 64).toBe(0);
            end = offset + size;
          }
          expect(end).toBeLessThanOrEqual(bytes);
        }
      }),
    );
  });

  it('refuses a block larger than an arena', () => {
    expect(() =>
      planArenas({ common: [], home: [], blocks: [PAGE_BYTES * 4], limit: PAGE_BYTES * 4 }),
    ).toThrow(expect.objectContaining({ code: 'arena-block-too-large' }));
  });

  it('uses addresses past 2^31 of a full-size arena', () => {
    const plan = planArenas({ common: [], home: [], blocks: [2 ** 31, 2 ** 30, 2 ** 30] });
    expect(plan.blocks[1]).toEqual({ arena: 0, offset: PAGE_BYTES + 2 ** 31 });
    expect(plan.blocks[2]).toEqual({ arena: 1, offset: PAGE_BYTES });
    const rest = 2 ** 31 - PAGE_BYTES;
    expect(planArenas({ common: [], home: [], blocks: [2 ** 31, rest - 64] }).arenaBytes).toEqual([2 ** 32]);
    // An address of 2^32 would be 0 to the kernels.
    expect(planArenas({ common: [], home: [], blocks: [2 ** 31, rest] }).arenaBytes).toHaveLength(2);
  });
});
