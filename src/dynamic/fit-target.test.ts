import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { largestFileFor } from './fit-target.js';

/** Scout's cache: 48 layers, every fourth without chunks. */
const config = {
  ropeLayers: Array.from({ length: 48 }, (_, i) => i % 4 !== 3),
  attentionChunkSize: 8192,
  headCountKv: 8,
  headDim: 128,
};

describe('largestFileFor', () => {
  it('leaves Scout on 24 GB beside 64 GB what the cache and the system do not need', () => {
    const bytes = largestFileFor({ vram: 24e9, ram: 64e9 }, config);
    const cache = 48 * 8192 * 8 * 128 * 2 * 2;
    expect(bytes).toBe(88e9 - cache - 2 * 2 ** 29 - 2 ** 31);
  });

  it('grows with the machine and never exceeds it', () => {
    const gigabytes = fc.integer({ min: 8, max: 512 });
    fc.assert(
      fc.property(gigabytes, gigabytes, (vram, ram) => {
        const bytes = largestFileFor({ vram: vram * 1e9, ram: ram * 1e9 }, config);
        expect(bytes).toBeLessThan((vram + ram) * 1e9);
        expect(largestFileFor({ vram: vram * 1e9, ram: (ram + 1) * 1e9 }, config)).toBe(bytes + 1e9);
      }),
    );
  });

  it('refuses a machine without room for any weights', () => {
    expect(() => largestFileFor({ ram: 2e9 }, config)).toThrow(
      expect.objectContaining({ code: 'machine-too-small' }),
    );
  });
});
