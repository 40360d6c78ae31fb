import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import { readImatrix, writeImatrix } from '../formats/imatrix/index.js';
import type { CollectedSquares, CollectingModel } from '../model/collecting-model.js';
import type { Outputs } from '../model/token-model.js';
import { calibrate } from './calibrate.js';
import { calibrateToFile, statePath } from './calibrate-to-file.js';

const EXPERTS = 3;
const COLUMNS = 2;

/** A model whose "activations" are a fixed function of token and position, so that totals can be worked out. */
class FakeModel implements CollectingModel {
  readonly vocabSize = 100;
  readonly contextSize = 16;
  readonly tokenizer = { bosId: 99 };
  readonly windows: number[][] = [];
  /** Fails at this window, counted from the start. */
  failAt = Number.POSITIVE_INFINITY;
  broken = false;
  readonly #dense: CollectedSquares = squares(1);
  readonly #experts: CollectedSquares = squares(EXPERTS);

  async evaluate(tokens: ArrayLike<number>, position: number, outputs: Outputs): Promise<Float32Array> {
    expect(position).toBe(0);
    expect(outputs).toBe('none');
    if (this.windows.length === this.failAt) throw new Error('power cut');
    this.windows.push(Array.from(tokens));
    Array.from(tokens).forEach((token, at) => {
      const expert = token % EXPERTS;
      for (let column = 0; column < COLUMNS; column++) {
        const square = this.broken ? Number.NaN : activation(token, at, column) ** 2;
        this.#dense.sums[column]! += square;
        this.#experts.sums[expert * COLUMNS + column]! += square;
      }
      this.#dense.counts[0]!++;
      this.#experts.counts[expert]!++;
    });
    return new Float32Array(0);
  }

  collected() {
    return new Map([
      ['q', this.#dense],
      ['k', this.#dense],
      ['experts', this.#experts],
    ]);
  }

  resetCollected(): void {
    for (const { sums, counts } of this.collected().values()) {
      sums.fill(0);
      counts.fill(0);
    }
  }
}

function squares(matrices: number): CollectedSquares {
  return { sums: new Float64Array(matrices * COLUMNS), counts: new Float64Array(matrices) };
}

function activation(token: number, at: number, column: number): number {
  return Math.sin(token * 7 + at) + 0.1 * column;
}

const ids = (length: number, seed: number) => Array.from({ length }, (_, i) => (i * seed + 5) % 90);
const TEXTS = [
  { name: 'a.txt', ids: ids(37, 7) },
  { name: 'b.txt', ids: ids(62, 11) },
];

describe('calibrate', () => {
  it('adds the squares of every position over windows that run through all texts', async () => {
    const model = new FakeModel();
    const totals = await calibrate(model, TEXTS, { contextSize: 16 });
    const all = TEXTS.flatMap((text) => text.ids);
    const windows = Array.from({ length: 6 }, (_, i) => [99, ...all.slice(i * 16 + 1, i * 16 + 16)]);
    expect(model.windows).toEqual(windows);

    const { entries, chunkCount, chunkSize, datasets } = totals.toImatrix(16);
    expect({ chunkCount, chunkSize, datasets }).toEqual({
      chunkCount: 6,
      chunkSize: 16,
      datasets: ['a.txt', 'b.txt'],
    });
    expect([...(entries.get('q')!.counts as Float64Array)]).toEqual([96]);
    expect(entries.get('k')!.sums).toBe(entries.get('q')!.sums);
    const expected = windows.flatMap((window) => window.map((token, at) => activation(token, at, 1) ** 2));
    expect(entries.get('q')!.sums[1]).toBeCloseTo(
      expected.reduce((a, b) => a + b),
      9,
    );
    const hits = windows.flat().filter((token) => token % EXPERTS === 2).length;
    expect(entries.get('experts')!.counts[2]).toBe(hits);
    // The third window begins in the first text.
    expect(totals.countsOfText(0).get('q')).toEqual(Float64Array.of(48));
    expect(totals.countsOfText(1).get('q')).toEqual(Float64Array.of(48));
  });

  it('reports progress and stops at the given number of windows', async () => {
    const seen: number[][] = [];
    await calibrate(new FakeModel(), TEXTS, {
      contextSize: 16,
      chunks: 2,
      onProgress: (...step) => seen.push(step),
    });
    expect(seen).toEqual([0, 1, 2].map((done) => [done, 2]));
  });

  it('refuses what cannot be measured', async () => {
    const model = new FakeModel();
    await expect(calibrate(model, TEXTS, { contextSize: 17 })).rejects.toMatchObject({
      code: 'context-too-small',
    });
    await expect(calibrate(model, [], { contextSize: 16 })).rejects.toMatchObject({ code: 'text-too-short' });
    model.broken = true;
    await expect(calibrate(model, TEXTS, { contextSize: 16 })).rejects.toMatchObject({ code: 'not-finite' });
  });
});

describe('calibrateToFile', () => {
  const options = { contextSize: 8, modelIdentity: 'fake' };

  it.each([0, 1, 7, 10, 11])('gives the same bytes after a stop at window %i', async (failAt) => {
    const folder = await tempFolder();
    const whole = join(folder, 'whole.gguf');
    const resumed = join(folder, 'resumed.gguf');
    await calibrateToFile(new FakeModel(), TEXTS, whole, options);

    const model = new FakeModel();
    model.failAt = failAt;
    await expect(calibrateToFile(model, TEXTS, resumed, options)).rejects.toThrow('power cut');
    await expect(stat(resumed)).rejects.toThrow();
    const again = new FakeModel();
    const result = await calibrateToFile(again, TEXTS, resumed, options);
    expect(again.windows).toHaveLength(12 - failAt);
    expect(result.chunks).toBe(12);
    expect((await readFile(resumed)).equals(await readFile(whole))).toBe(true);
    await expect(stat(statePath(resumed))).rejects.toThrow();
  });

  it('starts over where the state is damaged or of other work', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const windowsAfter = async (spoil: () => Promise<void>, texts = TEXTS, changed = options) => {
      const first = new FakeModel();
      first.failAt = 5;
      await calibrateToFile(first, TEXTS, path, options).catch(() => {});
      await spoil();
      const model = new FakeModel();
      await calibrateToFile(model, texts, path, changed);
      return model.windows.length;
    };
    const keep = async () => {};
    expect(await windowsAfter(keep)).toBe(7);
    expect(await windowsAfter(() => writeFile(statePath(path), 'GGUFnonsense'))).toBe(12);
    expect(await windowsAfter(keep, TEXTS.toReversed())).toBe(12);
    expect(await windowsAfter(keep, TEXTS, { ...options, modelIdentity: 'other' })).toBe(12);
    expect(await windowsAfter(keep, TEXTS, { ...options, contextSize: 4 })).toBe(24);
    expect(await windowsAfter(keep, [TEXTS[0]!])).toBe(4);
  });

  it('refuses a folder that is not there before any work', async () => {
    const model = new FakeModel();
    const path = join(await tempFolder(), 'missing', 'x.gguf');
    await expect(calibrateToFile(model, TEXTS, path, options)).rejects.toMatchObject({
      code: 'no-such-file',
    });
    expect(model.windows).toEqual([]);
  });

  it('adds earlier matrices of the same model and refuses others', async () => {
    const folder = await tempFolder();
    const [first, second, both, other] = ['1', '2', '3', '4'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ];
    await calibrateToFile(new FakeModel(), [TEXTS[0]!], first, options);
    await calibrateToFile(new FakeModel(), [TEXTS[1]!], second, options);
    await calibrateToFile(new FakeModel(), [TEXTS[1]!], both, { ...options, merge: [first] });
    const [a, b, sum] = await Promise.all([first, second, both].map(readImatrix));
    expect(sum).toMatchObject({ datasets: ['a.txt', 'b.txt'], chunkCount: a!.chunkCount + b!.chunkCount });
    for (const [name, { sums, counts }] of sum!.entries) {
      expect(counts[0]).toBe(a!.entries.get(name)!.counts[0]! + b!.entries.get(name)!.counts[0]!);
      expect(sums[1]).toBeCloseTo(a!.entries.get(name)!.sums[1]! + b!.entries.get(name)!.sums[1]!, 5);
    }

    const model = new FakeModel();
    for (const name of ['q', 'unknown']) {
      const entries = new Map([[name, { sums: new Float32Array(7), counts: [1] }]]);
      await writeImatrix(other, { datasets: [], chunkCount: 1, chunkSize: 8, entries });
      await expect(calibrateToFile(model, TEXTS, both, { ...options, merge: [other] })).rejects.toMatchObject(
        { code: 'imatrix-mismatch' },
      );
    }
    expect(model.windows).toEqual([]);
  });
});
