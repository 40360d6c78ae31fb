import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAdapter } from '../src/convert/lora/open-adapter.js';
import { type LoadOptions, loadModel } from '../src/generate/load-model.js';
import { goldenFloats, goldenJson, goldenPath, largestDifference, NANO_SCOUT } from './golden.js';

const GOLDEN = goldenPath('lora');
const ids: number[] = goldenJson('short.json').ids;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-adapters-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function logitsOf(path: string, options: LoadOptions): Promise<Float32Array> {
  const model = await loadModel(path, { threads: 2, contextSize: 128, kvType: 'f32', ...options });
  try {
    return await model.logits(ids, { positions: 'all' });
  } finally {
    await model.close();
  }
}

describe('the adapter of PEFT', () => {
  it('gives the logits that PEFT gives', async () => {
    const logits = await logitsOf(NANO_SCOUT, { adapters: [{ path: GOLDEN }] });
    expect(largestDifference(logits, goldenFloats('lora/short.logits.f32'))).toBeLessThan(1e-3);
  });
});
