import { describe, expect, it } from 'vitest';
import { modelFingerprint } from './fingerprint.js';
import type { Metadata, TensorInfo, TensorSource } from './tensor-source.js';

function source(change: { bytes?: Uint8Array; metadata?: Metadata; path?: string } = {}): TensorSource {
  const bytes = change.bytes ?? new Uint8Array(2 * 3 * 4);
  const tensor: TensorInfo = { name: 'w', type: 'F32', shape: [2, 3], bytes: bytes.length };
  return {
    path: change.path ?? 'a',
    metadata: change.metadata ?? new Map([['x.y', { type: 'uint64', value: 2n ** 60n }]]),
    tensors: new Map([['w', tensor]]),
    readRows: async (_, start, count, target) => {
      target.set(bytes.subarray(start * 8, (start + count) * 8));
    },
    close: async () => {},
  };
}

describe('modelFingerprint', () => {
  it('depends on the content and on nothing else', async () => {
    const expected = await modelFingerprint(source());
    expect(expected).toMatch(/^[0-9a-f]{64}$/);
    expect(await modelFingerprint(source({ path: 'b' }))).toBe(expected);
    const bytes = new Uint8Array(24);
    bytes[23] = 1;
    expect(await modelFingerprint(source({ bytes }))).not.toBe(expected);
    const metadata: Metadata = new Map([['x.y', { type: 'uint64', value: 2n ** 60n + 1n }]]);
    expect(await modelFingerprint(source({ metadata }))).not.toBe(expected);
  });

  it('stops', async () => {
    await expect(modelFingerprint(source(), AbortSignal.abort())).rejects.toMatchObject({
      kind: 'cancelled',
    });
  });
});
