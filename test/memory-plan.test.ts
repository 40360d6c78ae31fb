import { describe, expect, it } from 'vitest';
import { publishedConfig, publishedShape } from '../src/dynamic/published-models.js';
import type { CacheType, CacheTypes } from '../src/model/layout.js';
import { planModel } from '../src/model/layout.js';
import { describeMemory } from '../src/model/memory-summary.js';
import { planOptions } from '../src/model/runtime-options.js';

const config = publishedConfig('scout');
const tensors = new Map(publishedShape('scout').tensors.map((info) => [info.name, info]));

function plan(contextSize: number, cacheType: CacheType | CacheTypes, sequences = 1) {
  const options = { threads: 2, batchSize: 512, contextSize, sequences, cacheType, tablesBytes: 40_000 };
  return planModel(config, tensors, options);
}

// Scout: 12 layers without RoPE keep every position, 36 chunked ones 8192; 8 key/value heads of 128 values.
const FULL_LAYERS = 12;
const CHUNKED_POSITIONS = 36 * 8192;

describe('the plan of a long context', () => {
  it.each([
    ['f16', 1_000_000, 2 * 8 * 128 * 2],
    ['f16', 10_000_000, 2 * 8 * 128 * 2],
    ['q8_0', 1_000_000, 2 * 8 * 4 * 34],
    ['f32', 8192, 2 * 8 * 128 * 4],
  ] as const)('%s, %i tokens: %i bytes a position and layer', (type, contextSize, bytes) => {
    const planned = plan(contextSize, type);
    expect(planned.bytes.cache).toBe((FULL_LAYERS * contextSize + CHUNKED_POSITIONS) * bytes);
    const total = planned.arenas.arenaBytes.reduce((a, b) => a + b, 0);
    expect(total).toBeGreaterThanOrEqual(planned.bytes.weights + planned.bytes.cache);
    for (const arena of planned.arenas.arenaBytes) expect(arena).toBeLessThanOrEqual(2 ** 32);
  });

  it('keys and values may differ, and sequences have a cache each', () => {
    const bytes = 8 * 4 * (34 + 64);
    const planned = plan(100_000, { keys: 'q8_0', values: 'f16' }, 3);
    expect(planned.bytes.cache).toBe(3 * (FULL_LAYERS * 100_000 + CHUNKED_POSITIONS) * bytes);
  });

  it('is as long as the model allows when asked for 0, and 8192 when not asked', () => {
    expect(planOptions(config, { contextSize: 0 }, 0).contextSize).toBe(10_485_760);
    expect(planOptions(config, {}, 0).contextSize).toBe(8192);
    expect(() => planOptions(config, { contextSize: 10_485_761 }, 0)).toThrow('from 1 to 10485760');
  });

  it('is told in one line', () => {
    const line = describeMemory(plan(1_000_000, 'f16'), 1_000_000);
    expect(line).toContain('cache of 1000000 tokens 50.4 GB');
    expect(line).toContain('(layers that keep every token (12): 49.2 GB; at most 8192 (36): 1.21 GB)');
    expect(describeMemory(plan(4096, 'f16', 2), 4096)).toContain('cache of 2 × 4096 tokens 1.61 GB, compute');
  });

  it('refuses types whose blocks do not divide a head', () => {
    const odd = { ...config, headDim: 48 };
    const options = { threads: 1, batchSize: 8, contextSize: 64, cacheType: 'q8_0', tablesBytes: 0 } as const;
    expect(() => planModel(odd, tensors, options)).toThrow('needs heads of a multiple of 32 values');
  });
});
