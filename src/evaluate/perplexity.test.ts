import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outputs, TokenModel } from '../model/token-model.js';
import { evaluatePerplexity } from './perplexity.js';
import { textWindows } from './text-windows.js';

const BOS = 0;
const VOCAB = 11;

/** A model whose logits depend on every token so far, so that a wrong window or position shows. */
class HashModel implements TokenModel {
  readonly vocabSize: number = VOCAB;
  readonly seen: number[] = [];
  readonly contextSize = 64;
  readonly calls: { tokens: number[]; outputs: Outputs }[] = [];
  readonly tokenizer = {
    bosId: BOS,
    encode: (text: string, { addBos }: { addBos: boolean }) => [
      ...(addBos ? [BOS] : []),
      ...Array.from(text, (char) => 1 + (char.charCodeAt(0) % (VOCAB - 1))),
    ],
  };

  async evaluate(tokens: ArrayLike<number>, position: number, outputs: Outputs): Promise<Float32Array> {
    const ids = Array.from(tokens);
    this.seen.length = position;
    this.seen.push(...ids);
    this.calls.push({ tokens: ids, outputs });
    const positions = outputs as readonly number[];
    return Float32Array.from(positions.flatMap((at) => hashLogits(this.seen.slice(0, position + at + 1))));
  }
}

/** So large a vocabulary that a window's logits have to come in pieces. */
class WideModel extends HashModel {
  override readonly vocabSize = 2 ** 24;

  override async evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
  ): Promise<Float32Array> {
    const narrow = await super.evaluate(tokens, position, outputs);
    const rows = narrow.length / VOCAB;
    expect(rows).toBeLessThanOrEqual(4);
    const wide = new Float32Array(rows * this.vocabSize).fill(-Infinity);
    for (let row = 0; row < rows; row++) {
      wide.set(narrow.subarray(row * VOCAB, (row + 1) * VOCAB), row * this.vocabSize);
    }
    return wide;
  }
}

function hashLogits(prefix: readonly number[]): number[] {
  const hash = prefix.reduce((h, id) => (h * 31 + id + 7) % 1009, 1);
  return Array.from({ length: VOCAB }, (_, i) => Math.fround(Math.sin(hash * (i + 1)) * 4));
}

function directNll(prefix: readonly number[], target: number): number {
  const logits = hashLogits(prefix);
  return -Math.log(Math.exp(logits[target]!) / logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
}

const TEXT = 'the quick brown fox jumps over the lazy dog and runs away from it';

describe('evaluatePerplexity', () => {
  it('equals a direct computation over the same windows', async () => {
    const model = new HashModel();
    const contextSize = 16;
    const result = await evaluatePerplexity(model, TEXT, { contextSize });

    const ids = model.tokenizer.encode(TEXT, { addBos: true });
    const nlls: number[] = [];
    for (let start = 0; start + contextSize <= ids.length; start += contextSize) {
      const window = [BOS, ...ids.slice(start + 1, start + contextSize)];
      for (let at = 8; at <= 14; at++) nlls.push(directNll(window.slice(0, at + 1), window[at + 1]!));
    }
    const mean = nlls.reduce((a, b) => a + b) / nlls.length;
    const variance = nlls.reduce((sum, nll) => sum + (nll - mean) ** 2, 0) / nlls.length;
    expect(result.chunks).toBe(4);
    expect(result.tokens).toBe(4 * 7);
    expect(result.meanNll).toBeCloseTo(mean, 9);
    expect(result.perplexity).toBeCloseTo(Math.exp(mean), 8);
    expect(result.perplexityError).toBeCloseTo(Math.exp(mean) * Math.sqrt(variance / (nlls.length - 1)), 8);
  });

  it('asks for the scored positions only, and not for the last token', async () => {
    const model = new HashModel();
    await evaluatePerplexity(model, TEXT, { contextSize: 8, chunks: 2 });
    expect(model.calls).toHaveLength(2);
    expect(model.calls[0]!.outputs).toEqual([4, 5, 6]);
    expect(model.calls[0]!.tokens).toHaveLength(7);
  });

  it('takes the logits of large vocabularies in pieces', async () => {
    const options = { contextSize: 12, chunks: 1 };
    const wide = await evaluatePerplexity(new WideModel(), TEXT, options);
    const narrow = await evaluatePerplexity(new HashModel(), TEXT, options);
    expect(wide.meanNll).toBeCloseTo(narrow.meanNll, 9);
  });

  it('reports progress with the running perplexity', async () => {
    const seen: [number, number, number][] = [];
    const result = await evaluatePerplexity(new HashModel(), TEXT, {
      contextSize: 16,
      onProgress: (...step) => seen.push(step),
    });
    expect(seen.map(([done, total]) => [done, total])).toEqual([0, 1, 2, 3, 4].map((done) => [done, 4]));
    expect(seen.at(-1)![2]).toBeCloseTo(result.perplexity, 12);
  });

  it('refuses a text shorter than a window and a window longer than the context', async () => {
    await expect(evaluatePerplexity(new HashModel(), 'short', { contextSize: 16 })).rejects.toMatchObject({
      code: 'text-too-short',
    });
    await expect(evaluatePerplexity(new HashModel(), TEXT, { contextSize: 65 })).rejects.toMatchObject({
      code: 'context-too-small',
    });
  });
});

describe('textWindows', () => {
  it('covers the text in order without overlap', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(99), { minLength: 20, maxLength: 200 }),
        fc.integer({ min: 2, max: 20 }),
        (ids, size) => {
          const windows = textWindows(ids, size, undefined);
          expect(windows).toHaveLength(Math.floor(ids.length / size));
          expect(windows.flatMap((window) => window.ids)).toEqual(ids.slice(0, windows.length * size));
          for (const { firstScored } of windows) expect(firstScored).toBeLessThan(size - 1);
        },
      ),
    );
  });
});
