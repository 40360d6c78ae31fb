import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sampler } from './sampler.js';
import { resolveSampling, type SamplingOptions } from './sampling-options.js';

/** The chain step by step on a fully sorted list, each step over what the one before left. */
function directDistribution(
  logits: readonly number[],
  history: readonly number[],
  options: SamplingOptions,
): Map<number, number> {
  const o = resolveSampling(options);
  const recent = o.repeatLastN === -1 ? history : history.slice(Math.max(0, history.length - o.repeatLastN));
  let candidates = logits.map((value, id) => {
    let logit = value + (o.logitBias.get(id) ?? 0);
    const count = recent.filter((other) => other === id).length;
    if (count > 0) {
      logit = logit > 0 ? logit / o.repeatPenalty : logit * o.repeatPenalty;
      logit -= o.presencePenalty + count * o.frequencyPenalty;
    }
    return { id, logit };
  });
  candidates = candidates.filter(({ logit }) => logit > -Infinity);
  candidates.sort((a, b) => b.logit - a.logit || a.id - b.id);
  if (o.temperature === 0) return new Map([[candidates[0]!.id, 1]]);
  if (o.topK > 0) candidates = candidates.slice(0, o.topK);
  if (o.topP < 1) {
    let sum = 0;
    const probabilities = softmax(candidates.map(({ logit }) => logit));
    const last = probabilities.findIndex((probability) => {
      sum += probability;
      return sum >= o.topP;
    });
    if (last !== -1) candidates = candidates.slice(0, last + 1);
  }
  const max = candidates[0]!.logit;
  candidates = candidates.filter(({ logit }) => Math.exp(logit - max) >= o.minP);
  const probabilities = softmax(candidates.map(({ logit }) => logit / o.temperature));
  return new Map(candidates.map(({ id }, i) => [id, probabilities[i]!]));
}

/** Of logits in descending order. */
function softmax(logits: readonly number[]): number[] {
  const weights = logits.map((logit) => Math.exp(logit - logits[0]!));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function distributionOf(sampler: Sampler, logits: readonly number[], history: readonly number[] = []) {
  const { ids, probabilities } = sampler.distribution(Float32Array.from(logits), history);
  return new Map([...ids].map((id, i) => [id, probabilities[i]!]));
}

const unit = fc.double({ min: 0, max: 1, noNaN: true });
const anyOptions = fc.record<SamplingOptions>(
  {
    temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.05, max: 5, noNaN: true })),
    topK: fc.nat({ max: 12 }),
    topP: fc.oneof(unit, fc.constant(1)),
    minP: fc.oneof(unit, fc.constant(0)),
    repeatPenalty: fc.double({ min: 0.5, max: 2, noNaN: true }),
    repeatLastN: fc.integer({ min: -1, max: 8 }),
    presencePenalty: fc.double({ min: -2, max: 2, noNaN: true }),
    frequencyPenalty: fc.double({ min: -2, max: 2, noNaN: true }),
    logitBias: fc
      .array(fc.tuple(fc.nat({ max: 9 }), fc.constantFrom(-Infinity, -100, -1, 0.5, 3)), { maxLength: 3 })
      .map((entries) => new Map(entries)),
  },
  { requiredKeys: [] },
);
const anyLogits = fc
  .array(fc.oneof(fc.float({ min: -8, max: 8, noNaN: true }), fc.integer({ min: -3, max: 3 })), {
    minLength: 12,
    maxLength: 40,
  })
  .map((logits) => [...Float32Array.from(logits)]);

describe('distribution', () => {
  it('is what the steps give one after another', () => {
    fc.assert(
      fc.property(anyLogits, fc.array(fc.nat({ max: 50 })), anyOptions, (logits, history, options) => {
        const actual = distributionOf(new Sampler(options, logits.length), logits, history);
        const expected = directDistribution(logits, history, options);
        // A token exactly at a cut-off may fall on either side of it by rounding.
        const differing = [...new Set([...actual.keys(), ...expected.keys()])].filter(
          (id) => Math.abs((actual.get(id) ?? 0) - (expected.get(id) ?? 0)) > 1e-9,
        );
        fc.pre(differing.length === 0 || !isAtCutOff(logits, history, options));
        expect(differing).toEqual([]);
        expect([...actual.values()].reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
      }),
      { numRuns: 3000 },
    );
  });

  /** Whether a small change of a cut-off changes what the direct computation keeps. */
  function isAtCutOff(
    logits: readonly number[],
    history: readonly number[],
    options: SamplingOptions,
  ): boolean {
    const { topP, minP } = resolveSampling(options);
    const sizes = [-1e-9, 0, 1e-9].flatMap((change) => [
      directDistribution(logits, history, { ...options, topP: Math.min(1, Math.max(0, topP + change)) }).size,
      directDistribution(logits, history, { ...options, minP: Math.min(1, Math.max(0, minP + change)) }).size,
    ]);
    return new Set(sizes).size > 1;
  }

  it('cuts before the temperature', () => {
    const logits = [0.5, 0.3, 0.2].map(Math.log);
    const options = { topP: 0.7, minP: 0, temperature: 100 };
    expect([...distributionOf(new Sampler(options, 3), logits).keys()]).toEqual([0, 1]);
  });

  it('never has ids beyond the tokens', () => {
    const sampler = new Sampler({ topP: 1, minP: 0 }, 3);
    expect([...distributionOf(sampler, [1, 1, 1, 99, 99]).keys()]).toEqual([0, 1, 2]);
  });

  it('leaves out NaN and −Infinity', () => {
    const sampler = new Sampler({ topP: 1, minP: 0 }, 4);
    expect([...distributionOf(sampler, [Number.NaN, 0, -Infinity, 0])]).toEqual([
      [1, 0.5],
      [3, 0.5],
    ]);
  });

  it('is certain of an infinite logit', () => {
    expect([...distributionOf(new Sampler({}, 3), [1, Infinity, 2])]).toEqual([[1, 1]]);
  });

  it('does not depend on earlier calls', () => {
    fc.assert(
      fc.property(anyLogits, anyLogits, anyOptions, (logits, other, options) => {
        const count = Math.min(logits.length, other.length);
        const used = new Sampler(options, count);
        distributionOf(used, other, [1, 2]);
        expect(distributionOf(used, logits, [3])).toEqual(
          distributionOf(new Sampler(options, count), logits, [3]),
        );
      }),
    );
  });

  it('keeps its order in a large vocabulary', () => {
    const logits = Array.from({ length: 202_048 }, (_, id) => Math.fround(20 * Math.sin(id * id)));
    for (const options of [{}, { topK: 40 }, { topP: 0.9, minP: 0 }, { topP: 1, minP: 0.5 }]) {
      const actual = distributionOf(new Sampler(options, logits.length), logits);
      const expected = directDistribution(logits, [], options);
      expect(actual.size).toBe(expected.size);
      let largest = 0;
      for (const [id, p] of expected) largest = Math.max(largest, Math.abs(p - (actual.get(id) ?? 0)));
      expect(largest).toBeLessThan(1e-12);
    }
  });
});

describe('sample', () => {
  it('takes the lowest id of the most likely ones at temperature 0', () => {
    expect(new Sampler({ temperature: 0 }, 4).sample(Float32Array.of(1, 3, 3, 2), [])).toBe(1);
  });

  it('gives the same tokens for the same seed', () => {
    fc.assert(
      fc.property(anyLogits, anyOptions, fc.nat(), (logits, options, seed) => {
        const draw = () => {
          const sampler = new Sampler({ ...options, seed }, logits.length);
          return Array.from({ length: 20 }, () => sampler.sample(Float32Array.from(logits), []));
        };
        expect(draw()).toEqual(draw());
      }),
    );
  });

  it('draws each token as often as its probability says', () => {
    const sampler = new Sampler({ seed: 1, temperature: 1, topP: 1, minP: 0 }, 3);
    const logits = Float32Array.from([0.6, 0.3, 0.1], Math.log);
    const counts = [0, 0, 0];
    for (let i = 0; i < 10_000; i++) counts[sampler.sample(logits, [])]!++;
    expect(counts[0]! / 10_000).toBeCloseTo(0.6, 1);
    expect(counts[1]! / 10_000).toBeCloseTo(0.3, 1);
    expect(counts[2]! / 10_000).toBeCloseTo(0.1, 1);
  });

  it('draws only tokens of the distribution', () => {
    fc.assert(
      fc.property(anyLogits, anyOptions, fc.nat(), (logits, options, seed) => {
        const sampler = new Sampler({ ...options, seed }, logits.length);
        const allowed = distributionOf(sampler, logits);
        expect(allowed.has(sampler.sample(Float32Array.from(logits), []))).toBe(true);
      }),
    );
  });

  it('tells a seed chosen at random, which repeats the tokens', () => {
    const logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i));
    const options = { topP: 1, minP: 0, temperature: 1 };
    const sampler = new Sampler(options, 50);
    const again = new Sampler({ ...options, seed: sampler.seed }, 50);
    for (let i = 0; i < 20; i++) expect(again.sample(logits, [])).toBe(sampler.sample(logits, []));
  });

  it('refuses logits without a candidate', () => {
    const sampler = new Sampler({}, 2);
    expect(() => sampler.sample(Float32Array.of(Number.NaN, -Infinity, 5), [])).toThrow(
      expect.objectContaining({ code: 'no-token-to-sample' }),
    );
  });
});

describe('options', () => {
  it.each<SamplingOptions>([
    { temperature: -1 },
    { temperature: Number.NaN },
    { topK: 1.5 },
    { topK: -1 },
    { topP: 1.1 },
    { minP: -0.1 },
    { repeatPenalty: 0 },
    { repeatLastN: -2 },
    { presencePenalty: Number.NaN },
    { frequencyPenalty: Infinity },
    { logitBias: new Map([[1, Number.NaN]]) },
    { seed: -1 },
    { seed: 2 ** 53 },
  ])('refuse %o', (options) => {
    expect(() => new Sampler(options, 10)).toThrow(expect.objectContaining({ code: 'bad-sampling-option' }));
  });

  it('left undefined have their defaults', () => {
    expect(resolveSampling({ temperature: undefined, topK: 3 })).toMatchObject({ temperature: 0.6, topK: 3 });
  });
});
