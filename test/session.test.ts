import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/convert/checkpoint-source.js';
import { sampledFingerprint } from '../src/formats/fingerprint.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { restoreSession, saveSession } from '../src/model/session-file.js';
import { goldenJson, largestDifference, NANO_SCOUT } from './golden.js';

const { ids } = goldenJson('short.json') as { ids: number[] };
const CHUNK = 16;

describe('a session in a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cria-session-'));
  const path = join(folder, 'prompt.session');
  let source: TensorSource;
  let model: string;
  let runtime: Llama4Runtime;
  beforeAll(async () => {
    const opened = await openCheckpoint(NANO_SCOUT);
    const metadata = new Map(opened.metadata);
    metadata.set('llama4.attention.chunk_size', { type: 'uint32', value: CHUNK });
    const { path, tensors } = opened;
    source = {
      path,
      tensors,
      metadata,
      readRows: (...args) => opened.readRows(...args),
      close: () => opened.close(),
    };
    model = await sampledFingerprint(source);
    runtime = await Llama4Runtime.load(source, { threads: 2, contextSize: 128, parallel: 2 });
  });
  afterAll(async () => {
    await runtime.close();
    await source.close();
    rmSync(folder, { recursive: true });
  });

  it.each([1, 15, 16, 17, 40])('goes on after %i tokens with the same bits', async (count) => {
    await runtime.evaluate(ids.slice(0, count), 0, 'none');
    expect(await saveSession(runtime, path, model)).toBe(count);
    const rest = ids.slice(count, count + 6);
    const expected = await runtime.evaluate(rest, count, 'all');
    await runtime.evaluate([5, 6, 7], 0, 'none');

    expect(await restoreSession(runtime, path, model, 1)).toBe(count);
    expect([...runtime.cachedTokens(1)]).toEqual(ids.slice(0, count));
    const before = runtime.evaluatedTokens;
    const [found] = await runtime.evaluateBatch([
      { sequence: 1, tokens: rest, position: count, outputs: 'all' },
    ]);
    expect(runtime.evaluatedTokens - before).toBe(rest.length);
    expect(largestDifference(found!, expected)).toBe(0);
    expect(await readdir(folder)).toEqual(['prompt.session']);
  });

  it('can be gone back in, across the border of a chunk', async () => {
    await runtime.evaluate(ids.slice(0, 40), 0, 'none');
    await saveSession(runtime, path, model);
    const expected = await runtime.evaluate(ids.slice(20, 44), 20, 'last');
    await restoreSession(runtime, path, model);
    expect(largestDifference(await runtime.evaluate(ids.slice(20, 44), 20, 'last'), expected)).toBe(0);
  });

  it('is refused by another model, another cache and a shorter context', async () => {
    await runtime.evaluate(ids.slice(0, 40), 0, 'none');
    await saveSession(runtime, path, model);
    await expect(restoreSession(runtime, path, 'another')).rejects.toMatchObject({
      code: 'session-mismatch',
    });
    const options = { threads: 1, contextSize: 64 } as const;
    const other = await Llama4Runtime.load(source, {
      ...options,
      cacheType: { keys: 'q8_0', values: 'f16' },
    });
    await expect(restoreSession(other, path, model)).rejects.toThrow(
      'expected a cache of q8_0 keys and f16 values, found f16 and f16',
    );
    await other.close();
    const short = await Llama4Runtime.load(source, { ...options, contextSize: 32 });
    await expect(restoreSession(short, path, model)).rejects.toThrow('it holds 40 tokens, the context 32');
    await short.close();
  });

  it('refuses whatever else the bytes are, and then holds nothing false', async () => {
    await runtime.evaluate(ids.slice(0, 20), 0, 'none');
    await saveSession(runtime, path, model);
    const good = readFileSync(path);
    const hostile = join(folder, 'hostile.session');
    const refused = async (bytes: Uint8Array) => {
      writeFileSync(hostile, bytes);
      await expect(restoreSession(runtime, hostile, model)).rejects.toMatchObject({ kind: 'bad-file' });
      expect([[], ids.slice(0, 20)]).toContainEqual([...runtime.cachedTokens(0)]);
    };
    await refused(new Uint8Array(0));
    await refused(good.subarray(0, good.length - 1));
    await refused(Buffer.concat([good, Buffer.alloc(1)]));
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= change;
        await refused(bytes);
      }),
      { numRuns: 40 },
    );
    const huge = Buffer.from(good);
    huge.writeUInt32LE(0xffffffff, 12);
    await refused(huge);
    const tokens = Buffer.from(good.toString('latin1').replace('"tokens":20', '"tokens":99'), 'latin1');
    await refused(tokens);
  });

  it('is not written for nothing', async () => {
    const fresh = await Llama4Runtime.load(source, { threads: 1, contextSize: 32 });
    expect(await saveSession(fresh, join(folder, 'none'), model)).toBe(0);
    expect(await readdir(folder)).not.toContain('none');
    await fresh.close();
  });
});
