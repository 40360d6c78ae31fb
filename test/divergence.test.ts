import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runVerb, type Terminal } from '../src/cli/verb.js';
import { evaluateDivergenceVerb } from '../src/cli/verbs/evaluate-divergence.js';
import { convertCheckpoint } from '../src/convert/convert.js';
import { openModel } from '../src/convert/open-model.js';
import { tokenizerFromGguf } from '../src/model/tokenizer/index.js';
import { NANO_SCOUT } from './golden.js';

const TEXT = join(NANO_SCOUT, 'evaluation.txt');
const LENGTH = ['-f', TEXT, '-c', '128', '--chunks', '2', '-t', '2'];
const SAME = { meanKld: 0, meanKldError: 0, medianKld: 0, kld99: 0, sameTopPercent: 100, perplexityRatio: 1 };

let folder: string;
let quantized: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-divergence-'));
  quantized = join(folder, 'q8_0.gguf');
  await convertCheckpoint(NANO_SCOUT, quantized, { type: 'q8_0' });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function output(...args: string[]): Promise<string> {
  const stdout = new PassThrough();
  const terminal: Terminal = {
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    signal: new AbortController().signal,
    onInterrupt: () => () => {},
  };
  await runVerb(evaluateDivergenceVerb, terminal, args);
  return String(stdout.read());
}

const divergence = async (...args: string[]) => JSON.parse(await output(...args, '--json'));

describe('cria evaluate divergence', () => {
  it('is 0 for a model and itself', async () => {
    const result = await divergence(NANO_SCOUT, '--reference', NANO_SCOUT, ...LENGTH);
    expect(result).toMatchObject({ ...SAME, tokens: 2 * 63, chunks: 2, contextSize: 128 });
    expect(result.perplexity).toBe(result.referencePerplexity);
  });

  it('drops the last line break of a text, as llama.cpp does, so that it completes no window', async () => {
    const source = await openModel(NANO_SCOUT);
    await source.close();
    const tokenizer = tokenizerFromGguf(source.metadata);
    const count = (text: string) => tokenizer.encode(text, { addBos: true }).length;
    const words = (await readFile(TEXT, 'utf8')).split(/\s+/, 400);
    const starts = words.map((_, i) => words.slice(0, i + 1).join(' '));
    const text = starts.find((start) => count(start) % 64 === 63 && count(`${start}\n`) % 64 === 0)!;
    const path = join(folder, 'line.txt');
    await writeFile(path, `${text}\n`);
    const result = await divergence(NANO_SCOUT, '--reference', NANO_SCOUT, '-f', path, '-c', '64', '-t', '2');
    expect(result.chunks).toBe(Math.floor(count(text) / 64));
  });

  it('is the same side by side, through a base file and through the cache', async () => {
    const base = join(folder, 'base.kld');
    const cache = join(folder, 'cache');
    const reference = ['--reference', NANO_SCOUT];
    const exact = await divergence(quantized, ...reference, ...LENGTH);
    expect(exact.meanKld).toBeGreaterThan(1e-6);
    expect(exact.meanKld).toBeLessThan(0.01);
    expect(exact.sameTopPercent).toBeGreaterThan(90);

    const written = await divergence(quantized, ...reference, '--kl-divergence-base', base, ...LENGTH);
    const read = await divergence(quantized, '--kl-divergence-base', base, '-t', '2');
    const first = await divergence(quantized, ...reference, '--reference-cache', cache, ...LENGTH);
    const [cached] = await readdir(cache);
    expect(await readFile(join(cache, cached!))).toEqual(await readFile(base));
    // A mark that only a second reading of the cached file can show.
    const bytes = await readFile(base);
    bytes.fill(0, bytes.length - 8 - 2 * 4096);
    await writeFile(join(cache, cached!), bytes);
    const marked = await divergence(quantized, ...reference, '--reference-cache', cache, ...LENGTH);

    for (const result of [written, read, first]) {
      expect({ ...result, seconds: 0 }).toEqual({ ...written, seconds: 0 });
    }
    expect(Math.abs(written.meanKld - exact.meanKld)).toBeLessThan(0.02 * exact.meanKld);
    expect(written.perplexity).toBe(exact.perplexity);
    expect(written.referencePerplexity).toBeCloseTo(exact.referencePerplexity, 2);
    expect(marked.maxKld).toBeGreaterThan(10);
    expect(await readdir(cache)).toEqual([cached]);
  });

  it('prints a table for people', async () => {
    expect(await output(NANO_SCOUT, '--reference', NANO_SCOUT, ...LENGTH)).toMatch(
      /^KL divergence, mean {3}0\.000000 ± 0\.000000 nats\n.*126 tokens scored in 2 windows of 128, /s,
    );
  });

  it.each<[string, string[], string]>([
    ['no reference', ['-f', TEXT], 'missing-argument'],
    ['no text', ['--reference', NANO_SCOUT], 'missing-argument'],
    [
      'two stores',
      ['--reference', NANO_SCOUT, '-f', TEXT, '--kl-divergence-base', 'a', '--reference-cache', 'b'],
      'unexpected-option',
    ],
    ['a base file that is none', ['--kl-divergence-base', TEXT], 'bad-base-file'],
    [
      'a text in the place of the base file',
      ['--reference', NANO_SCOUT, '-f', TEXT, '--kl-divergence-base', TEXT],
      'not-a-base-file',
    ],
  ])('refuses %s', async (_, args, code) => {
    await expect(output(NANO_SCOUT, ...args)).rejects.toMatchObject({ code });
  });
});
