import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NANO_SCOUT } from '../../test/golden.js';
import { openCheckpoint } from '../convert/checkpoint-source.js';
import { configFromMetadata } from '../convert/llama4-config.js';
import { planModel } from './layout.js';
import { checkMemory } from './memory-check.js';

const source = await openCheckpoint(NANO_SCOUT, { type: 'bf16' });
const config = configFromMetadata(source.metadata, source.tensors);
await source.close();

/** BF16: three matrices of 256 × 256. */
const EXPERT_BYTES = 3 * 2 * 256 ** 2;
const LAYERS = 6;

function plan(bytes?: number) {
  return planModel(config, source.tensors, {
    threads: 2,
    batchSize: 64,
    contextSize: 128,
    cacheType: 'f16',
    tablesBytes: 40_000,
    expertCache: bytes === undefined ? undefined : { bytes, readAhead: true },
  });
}

describe('a plan with an expert cache', () => {
  it('takes no more than it may, and no less than another slot would need', () => {
    fc.assert(
      fc.property(fc.integer({ min: LAYERS * EXPERT_BYTES, max: 9 * LAYERS * EXPERT_BYTES }), (bytes) => {
        const { bytes: planned, layout } = plan(bytes);
        const { groups, slots } = layout.expertCache!;
        const counts = groups.map((group) => group.slots);
        expect(planned.expertCache).toBe(slots.length * EXPERT_BYTES);
        expect(planned.expertCache).toBeLessThanOrEqual(bytes);
        if (slots.length < LAYERS * 8) expect(planned.expertCache + EXPERT_BYTES).toBeGreaterThan(bytes);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        expect(counts.toSorted((a, b) => b - a)).toEqual(counts);
      }),
      { numRuns: 30 },
    );
  });

  it('gives slots places of their own', () => {
    const { layout } = plan(4 * LAYERS * EXPERT_BYTES);
    const places = layout.expertCache!.slots.map(({ arena, offset }) => ({ arena, offset }));
    for (const { arena, offset } of places) {
      const overlapping = places.filter(
        (other) => other.arena === arena && Math.abs(other.offset - offset) < EXPERT_BYTES,
      );
      expect(overlapping).toEqual([{ arena, offset }]);
    }
  });

  it('counts slots, not experts, as memory', () => {
    const resident = plan();
    const cached = plan(LAYERS * EXPERT_BYTES);
    expect(resident.bytes.weights - cached.bytes.weights).toBe(8 * LAYERS * EXPERT_BYTES);
    const sum = (arenas: readonly number[]) => arenas.reduce((total, bytes) => total + bytes, 0);
    const free = sum(cached.arenas.arenaBytes);
    expect(() => checkMemory(cached, 128, free)).not.toThrow();
    expect(() => checkMemory(resident, 128, free)).toThrow('the model needs');
    expect(() => checkMemory(cached, 128, free - 1)).toThrow(/cached experts 0\.00 GiB/);
  });
});
