import { describe, expect, it } from 'vitest';
import { publishedConfig, publishedShape } from '../dynamic/published-models.js';
import { type FitRequest, fitModel } from './fit.js';

const config = publishedConfig('scout');
const tensors = new Map(
  publishedShape('scout').tensors.map((info) => {
    const q4 = info.type === 'BF16';
    return [info.name, q4 ? { ...info, type: 'Q4_K' as const, bytes: (info.bytes / 32) * 9 } : info];
  }),
);
const REQUEST: FitRequest = { threads: 4, batchSize: 512, sequences: 1 };
const fitInto = (freeBytes: number, more: Partial<FitRequest> = {}) =>
  fitModel(config, tensors, { ...REQUEST, ...more }, freeBytes);

describe('fitting Scout at Q4_K', () => {
  const roomy = fitInto(2 ** 40);

  it('changes nothing where there is room', () => {
    expect(roomy).toMatchObject({ contextSize: 8192, cacheType: 'f16', repack: 'lean' });
    expect(fitInto(roomy.neededBytes)).toEqual(roomy);
  });

  it('gives up the layout first, then bits of the cache, then context', () => {
    const unpacked = fitInto(roomy.neededBytes - 1);
    expect(unpacked).toMatchObject({ contextSize: 8192, cacheType: 'f16', repack: 'off' });
    const eightBits = fitInto(unpacked.neededBytes - 1);
    expect(eightBits).toMatchObject({ contextSize: 8192, cacheType: { keys: 'q8_0', values: 'q8_0' } });
    const least = fitInto(eightBits.neededBytes - 2 ** 29);
    expect(least.contextSize).toBeLessThan(8192);
    expect(least.neededBytes).toBeLessThanOrEqual(eightBits.neededBytes - 2 ** 29);
  });

  it('keeps what was asked for', () => {
    const asked = { contextSize: 100_000, cacheType: 'f16', repack: 'lean' } as const;
    const fitted = fitInto(2 ** 40, asked);
    expect(fitted).toMatchObject(asked);
    expect(() => fitInto(fitted.neededBytes - 1, asked)).toThrow(
      /-c\).*-ctk q8_0.*--cache-experts.*cria plan/,
    );
  });

  it('keeps room for a vision tower', () => {
    const visionBytes = 2 ** 30;
    expect(fitInto(roomy.neededBytes + visionBytes, { visionBytes }).neededBytes).toBe(
      roomy.neededBytes + visionBytes,
    );
    expect(fitInto(roomy.neededBytes, { visionBytes }).repack).toBe('off');
    expect(() => fitInto(2 ** 30, { visionBytes })).toThrow(/the model and its vision tower need at least 5/);
  });

  it('says what is needed when nothing fits', () => {
    expect(() => fitInto(2 ** 30)).toThrow(
      /needs at least 5\d\.\d+ GiB for 2048 tokens of context, and 1\.00 GiB are free/,
    );
  });
});
