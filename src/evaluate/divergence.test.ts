import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import type { Outputs } from '../model/token-model.js';
import { BaseFile } from './base-file.js';
import { evaluateDivergence, evaluateDivergenceFromBase, writeBaseFile } from './divergence.js';
import type { EvaluationModel } from './evaluation-model.js';

const BOS = 0;

/** A model whose logits depend on every token so far and on `seed`. */
class HashModel implements EvaluationModel {
  readonly contextSize = 64;
  readonly seed: number;
  readonly vocabSize: number;
  readonly tokenizer = {
    bosId: BOS,
    encode: (text: string, { addBos }: { addBos: boolean }) => [
      ...(addBos ? [BOS] : []),
      ...Array.from(text, (char) => 1 + (char.charCodeAt(0) % 10)),
    ],
  };
  readonly #seen: number[] = [];

  constructor(seed: number, vocabSize = 11) {
    this.seed = seed;
    this.vocabSize = vocabSize;
  }

  async evaluate(tokens: ArrayLike<number>, position: number, outputs: Outputs): Promise<Float32Array> {
    this.#seen.length = position;
    this.#seen.push(...Array.from(tokens));
    const positions = outputs as readonly number[];
    return Float32Array.from(positions.flatMap((at) => this.logits(this.#seen.slice(0, position + at + 1))));
  }

  logits(prefix: readonly number[]): number[] {
    const hash = prefix.reduce((h, id) => (h * 31 + id + 7) % 1009, 1);
    return Array.from({ length: this.vocabSize }, (_, i) =>
      Math.fround(Math.sin(hash * (i + 1)) * 4 + Math.cos(hash + i * this.seed) * this.seed),
    );
  }

  probabilities(prefix: readonly number[]): number[] {
    const weights = this.logits(prefix).map(Math.exp);
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  }
}

const TEXT = 'the quick brown fox jumps over the lazy dog and runs away from it';
const OPTIONS = { contextSize: 16 };
const model = new HashModel(0.4);
const reference = new HashModel(0.1);

/** Every scored prefix of the text with the token that follows. */
function scoredPrefixes(contextSize: number): { prefix: number[]; target: number }[] {
  const ids = model.tokenizer.encode(TEXT, { addBos: true });
  const result = [];
  for (let start = 0; start + contextSize <= ids.length; start += contextSize) {
    const window = [BOS, ...ids.slice(start + 1, start + contextSize)];
    for (let at = contextSize / 2; at < contextSize - 1; at++) {
      result.push({ prefix: window.slice(0, at + 1), target: window[at + 1]! });
    }
  }
  return result;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const deviation = (values: readonly number[]) =>
  Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)) / (values.length - 1));

describe('evaluateDivergence', () => {
  it('equals a direct computation', async () => {
    const result = await evaluateDivergence(model, reference, TEXT, OPTIONS);

    const rows = scoredPrefixes(16).map(({ prefix, target }) => {
      const [p, q] = [reference.probabilities(prefix), model.probabilities(prefix)];
      return {
        kld: p.reduce((sum, share, i) => sum + share * Math.log(share / q[i]!), 0),
        same: p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)),
        p: p[target]!,
        q: q[target]!,
      };
    });
    const klds = rows.map(({ kld }) => kld).sort((a, b) => a - b);
    const nll = rows.map(({ q }) => -Math.log(q));
    const referenceNll = rows.map(({ p }) => -Math.log(p));
    const ratio = rows.map((_, i) => nll[i]! - referenceNll[i]!);
    // As llama-perplexity has it, from the two variances and the covariance.
    const covariance =
      (mean(nll.map((x, i) => x * referenceNll[i]!)) - mean(nll) * mean(referenceNll)) / (rows.length - 1);
    const ratioError = Math.sqrt(deviation(nll) ** 2 + deviation(referenceNll) ** 2 - 2 * covariance);
    const same = mean(rows.map((row) => Number(row.same)));
    const deltas = rows.map(({ p, q }) => q - p);

    expect(rows).toHaveLength(28);
    const expected = {
      meanKld: mean(klds),
      meanKldError: deviation(klds),
      medianKld: (klds[13]! + klds[14]!) / 2,
      kld90: klds[24]! + 0.3 * (klds[25]! - klds[24]!),
      maxKld: klds[27]!,
      sameTopPercent: 100 * same,
      sameTopPercentError: 100 * Math.sqrt((same * (1 - same)) / 27),
      perplexity: Math.exp(mean(nll)),
      perplexityError: Math.exp(mean(nll)) * deviation(nll),
      referencePerplexity: Math.exp(mean(referenceNll)),
      referencePerplexityError: Math.exp(mean(referenceNll)) * deviation(referenceNll),
      perplexityRatio: Math.exp(mean(ratio)),
      perplexityRatioError: Math.exp(mean(ratio)) * ratioError,
      meanLogPerplexityRatio: mean(ratio),
      meanLogPerplexityRatioError: ratioError,
      logLikelihoodCorrelation: covariance / (deviation(nll) * deviation(referenceNll)),
      meanDeltaP: 100 * mean(deltas),
      meanDeltaPError: 100 * deviation(deltas),
      rmsDeltaP: 100 * Math.sqrt(mean(deltas.map((x) => x * x))),
    };
    for (const [name, value] of Object.entries(expected)) {
      expect(result[name as keyof typeof expected], name).toBeCloseTo(value, 9);
    }
    expect(result).toMatchObject({ tokens: 28, chunks: 4, contextSize: 16 });
  });

  it('is exactly 0 for a model and itself', async () => {
    const result = await evaluateDivergence(model, new HashModel(0.4), TEXT, OPTIONS);
    expect(result).toMatchObject({ meanKld: 0, maxKld: 0, sameTopPercent: 100, perplexityRatio: 1 });
    expect(result).toMatchObject({ meanDeltaP: 0, meanLogPerplexityRatioError: 0 });
  });

  it('reports progress with the running mean', async () => {
    const seen: [number, number, number][] = [];
    const onProgress = (...step: [number, number, number]) => seen.push(step);
    const result = await evaluateDivergence(model, reference, TEXT, { ...OPTIONS, chunks: 2, onProgress });
    expect(seen.map(([done, total]) => [done, total])).toEqual([
      [0, 2],
      [1, 2],
      [2, 2],
    ]);
    expect(seen[2]![2]).toBe(result.meanKld);
  });

  it('refuses other vocabularies and damaged models', async () => {
    const mismatch = { code: 'vocabulary-mismatch' };
    await expect(evaluateDivergence(model, new HashModel(1, 12), TEXT, OPTIONS)).rejects.toMatchObject(
      mismatch,
    );
    const other = Object.assign(new HashModel(1), {
      tokenizer: { bosId: BOS, encode: () => new Array(65).fill(3) },
    });
    await expect(evaluateDivergence(model, other, TEXT, OPTIONS)).rejects.toMatchObject(mismatch);
    const damaged = new HashModel(Number.NaN);
    await expect(evaluateDivergence(damaged, reference, TEXT, OPTIONS)).rejects.toMatchObject({
      code: 'bad-logits',
      message: expect.stringMatching(/^the model/),
    });
    await expect(evaluateDivergence(model, damaged, TEXT, OPTIONS)).rejects.toMatchObject({
      code: 'bad-logits',
      message: expect.stringMatching(/^the reference/),
    });
  });
});

describe('base files', () => {
  let path: string;

  beforeEach(async () => {
    path = join(await tempFolder(), 'reference.kld');
    await writeBaseFile(path, reference, TEXT, OPTIONS);
  });

  async function fromBase(options: Parameters<typeof evaluateDivergenceFromBase>[2] = {}, from = model) {
    const base = await BaseFile.open(path);
    try {
      return await evaluateDivergenceFromBase(from, base, options);
    } finally {
      await base.close();
    }
  }

  it('give the figures of the models side by side, but for rounding', async () => {
    const exact = await evaluateDivergence(model, reference, TEXT, OPTIONS);
    const stored = await fromBase({ text: TEXT });
    expect(stored.meanKld).toBeCloseTo(exact.meanKld, 4);
    expect(stored.kld99).toBeCloseTo(exact.kld99, 3);
    expect(stored.perplexity).toBe(exact.perplexity);
    expect(stored.referencePerplexity).toBeCloseTo(exact.referencePerplexity, 3);
    expect(stored.sameTopPercent).toBe(exact.sameTopPercent);
  });

  it('need no text, and can be used in part', async () => {
    const exact = await evaluateDivergence(model, reference, TEXT, { ...OPTIONS, chunks: 2 });
    const stored = await fromBase({ chunks: 2 });
    expect(stored.chunks).toBe(2);
    expect(stored.meanKld).toBeCloseTo(exact.meanKld, 4);
  });

  it('have the layout of llama-perplexity', async () => {
    const bytes = await readFile(path);
    const ids = model.tokenizer.encode(TEXT, { addBos: true }).slice(0, 64);
    const row = 8 + 12 * 2;
    expect(bytes).toHaveLength(20 + 64 * 4 + 28 * row);
    expect(bytes.toString('latin1', 0, 8)).toBe('_logits_');
    expect([8, 12, 16].map((at) => bytes.readInt32LE(at))).toEqual([16, 11, 4]);
    expect(ids.map((_, i) => bytes.readInt32LE(20 + 4 * i))).toEqual(ids);

    scoredPrefixes(16).forEach(({ prefix }, i) => {
      const at = 20 + 64 * 4 + i * row;
      const [scale, floor] = [bytes.readFloatLE(at), bytes.readFloatLE(at + 4)];
      reference.probabilities(prefix).forEach((p, token) => {
        const found = scale * bytes.readUInt16LE(at + 8 + 2 * token) + floor;
        expect(Math.abs(found - Math.log(p))).toBeLessThan(scale);
      });
      expect(bytes.readUInt16LE(at + row - 2)).toBe(0);
    });
  });

  it('are replaced, unlike other files', async () => {
    const before = await readFile(path);
    await writeBaseFile(path, reference, TEXT, OPTIONS);
    expect(await readFile(path)).toEqual(before);
    await writeFile(path, 'GGUF and so on');
    await expect(writeBaseFile(path, reference, TEXT, OPTIONS)).rejects.toMatchObject({
      code: 'not-a-base-file',
    });
    expect(await readFile(path, 'utf8')).toBe('GGUF and so on');
  });

  it('refuse another text and another vocabulary', async () => {
    await expect(fromBase({ text: `x${TEXT}` })).rejects.toMatchObject({ code: 'base-mismatch' });
    await expect(fromBase({ text: TEXT.slice(0, 50) })).rejects.toMatchObject({ code: 'base-mismatch' });
    await expect(fromBase({}, new HashModel(1, 12))).rejects.toMatchObject({ code: 'vocabulary-mismatch' });
  });

  const HEAD = { context: 8, vocab: 12, chunks: 16, token: 20, row: 20 + 64 * 4 };
  it.each<[string, (bytes: Buffer) => Buffer | number]>([
    ['empty', () => Buffer.alloc(0)],
    ['another magic', (bytes) => bytes.write('_logitz_')],
    ['cut', (bytes) => bytes.subarray(0, bytes.length - 1)],
    ['cut in the head', (bytes) => bytes.subarray(0, 19)],
    ['too long', (bytes) => Buffer.concat([bytes, Buffer.alloc(2)])],
    ['no windows', (bytes) => bytes.writeInt32LE(0, HEAD.chunks)],
    ['fewer than no windows', (bytes) => bytes.writeInt32LE(-1, HEAD.chunks)],
    ['a huge count of windows', (bytes) => bytes.writeInt32LE(2 ** 31 - 1, HEAD.chunks)],
    ['huge windows', (bytes) => bytes.writeUInt32LE(2 ** 32 - 1, HEAD.context)],
    ['tiny windows', (bytes) => bytes.writeUInt32LE(2, HEAD.context)],
    ['no vocabulary', (bytes) => bytes.writeInt32LE(0, HEAD.vocab)],
    ['a huge vocabulary', (bytes) => bytes.writeInt32LE(2 ** 31 - 1, HEAD.vocab)],
    ['a token beyond the vocabulary', (bytes) => bytes.writeInt32LE(11, HEAD.token)],
    ['a negative token', (bytes) => bytes.writeInt32LE(-1, HEAD.token)],
  ])('are refused when %s', async (_, spoil) => {
    const bytes = await readFile(path);
    const spoiled = spoil(bytes);
    await writeFile(path, typeof spoiled === 'number' ? bytes : spoiled);
    await expect(BaseFile.open(path)).rejects.toMatchObject({ kind: 'bad-file', code: 'bad-base-file' });
  });

  it.each([
    [Number.NaN, 0],
    [-1, 0],
    [1e-4, Number.NaN],
    [1e-4, -Infinity],
    [1e-4, 1],
    [Infinity, -16],
  ])('are refused with scale %d and floor %d', async (scale, floor) => {
    const bytes = await readFile(path);
    bytes.writeFloatLE(scale, HEAD.row);
    bytes.writeFloatLE(floor, HEAD.row + 4);
    await writeFile(path, bytes);
    await expect(fromBase()).rejects.toMatchObject({ kind: 'bad-file', code: 'bad-log-probs' });
  });
});
