import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { evaluatePerplexity } from '../src/evaluate/perplexity.js';
import { loadModel } from '../src/generate/load-model.js';
import { goldenJson, NANO_SCOUT } from './golden.js';

it('gives the perplexity that llama-perplexity gives for the F32 file', { timeout: 240_000 }, async () => {
  const text = await readFile(`${NANO_SCOUT}/evaluation.txt`, 'utf8');
  const model = await loadModel(NANO_SCOUT, { threads: 2, contextSize: 512 });
  // llama.cpp drops the last line break of a file it reads.
  const result = await evaluatePerplexity(model, text.replace(/\n$/, ''));
  await model.close();
  const [perplexity, error] = goldenJson('perplexity.json').f32Perplexity;
  expect(result.chunks).toBe(190);
  expect(result.perplexity).toBeCloseTo(perplexity, 3);
  expect(result.perplexityError).toBeCloseTo(error, 3);
});
