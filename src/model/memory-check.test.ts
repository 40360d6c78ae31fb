import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NANO_SCOUT } from '../../test/golden.js';
import { openCheckpoint } from '../convert/checkpoint-source.js';
import { configFromMetadata } from '../convert/llama4-config.js';
import { planModel } from './layout.js';
import { checkMemory } from './memory-check.js';

const source = await openCheckpoint(NANO_SCOUT);
const config = configFromMetadata(source.metadata, source.tensors);
await source.close();

function plan(contextSize: number) {
  const options = { threads: 2, batchSize: 512, contextSize, cacheType: 'f16', tablesBytes: 40_000 } as const;
  return planModel(config, source.tensors, options);
}

function refusal(contextSize: number, freeBytes: number): string | undefined {
  try {
    checkMemory(plan(contextSize), contextSize, freeBytes);
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ kind: 'resources', code: 'not-enough-memory' });
    return (error as Error).message;
  }
}

describe('checkMemory', () => {
  it('names a context that fits, and the next longer one does not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 80 * 2 ** 20, max: 2 ** 30 }), (free) => {
        const message = refusal(4_000_000, free);
        const fits = Number(/a context of (\d+) would fit/.exec(message!)![1]);
        expect(refusal(fits, free + 65_536)).toBeUndefined();
        expect(refusal(fits + 1000, free)).toBeDefined();
      }),
      { numRuns: 20 },
    );
  });

  it('says so when no context would help', () => {
    expect(refusal(8192, 10 * 2 ** 20)).toContain('a smaller model or quantization is needed');
  });
});
