import { describe, expect, it } from 'vitest';
import type { Outputs, TokenModel } from '../model/token-model.js';
import { DivergenceProbe } from './divergence-probe.js';

const VOCAB = 7;

/** Logits that depend on the token and the position, moved by `shift` in one direction. */
class ShiftedModel implements TokenModel {
  readonly vocabSize = VOCAB;
  readonly contextSize = 64;
  readonly asked: { tokens: number[]; outputs: readonly number[] }[] = [];
  shift = 0;

  async evaluate(tokens: ArrayLike<number>, _position: number, outputs: Outputs): Promise<Float32Array> {
    const positions = outputs as readonly number[];
    this.asked.push({ tokens: Array.from(tokens), outputs: positions });
    return Float32Array.from(positions.flatMap((at) => this.logits(tokens[at]!, at)));
  }

  logits(token: number, at: number): number[] {
    return Array.from({ length: VOCAB }, (_, id) => {
      const logit = Math.sin(token + 3 * at + id * id) * 3;
      return Math.fround(logit + (id === 2 ? this.shift : 0));
    });
  }
}

const IDS = Array.from({ length: 200 }, (_, i) => (i * 5) % VOCAB);

function softmax(logits: readonly number[]): number[] {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
}

describe('DivergenceProbe', () => {
  it('is zero for the unchanged model and the mean divergence for a changed one', async () => {
    const model = new ShiftedModel();
    const probe = await DivergenceProbe.create(model, IDS, { contextSize: 32, positions: 40, bosId: 0 });
    expect(Math.abs(await probe.meanKld())).toBeLessThan(1e-7);

    const windows = model.asked.slice(0, model.asked.length / 2);
    const before = windows.flatMap(({ tokens, outputs }) =>
      outputs.map((at) => softmax(model.logits(tokens[at]!, at))),
    );
    model.shift = 0.5;
    const after = windows.flatMap(({ tokens, outputs }) =>
      outputs.map((at) => softmax(model.logits(tokens[at]!, at))),
    );
    const klds = before.map((p, i) =>
      p.reduce((sum, value, id) => sum + value * Math.log(value / after[i]![id]!), 0),
    );
    expect(probe.positions).toBe(klds.length);
    expect(await probe.meanKld()).toBeCloseTo(klds.reduce((a, b) => a + b) / klds.length, 6);
  });

  it('spreads its windows over the text, each with context before what is compared', async () => {
    const model = new ShiftedModel();
    await DivergenceProbe.create(model, IDS, { contextSize: 20, positions: 30, bosId: 6 });
    expect(model.asked.map(({ tokens }) => tokens)).toEqual(
      [0, 100].map((start) => [6, ...IDS.slice(start + 1, start + 20)]),
    );
    for (const { outputs } of model.asked) {
      expect(outputs[0]).toBeGreaterThanOrEqual(5);
      expect(outputs).toHaveLength(15);
    }
  });

  it('refuses a text shorter than a window', async () => {
    await expect(
      DivergenceProbe.create(new ShiftedModel(), IDS.slice(0, 30), { contextSize: 32 }),
    ).rejects.toMatchObject({ code: 'text-too-short' });
  });
});
