import { describe, expect, it } from 'vitest';
import type { TokenModel } from '../../model/token-model.js';
import { type GenerateOptions, generate } from '../generate.js';
import { Sampler } from '../sampler.js';
import type { SamplingOptions } from '../sampling-options.js';
import { byteTokenizer, hashedLogits, tableModel } from '../testing/table-model.js';
import { DraftPace } from './draft-pace.js';
import type { Drafter } from './drafter.js';
import { LookupDrafter } from './lookup-drafter.js';
import { ModelDrafter } from './model-drafter.js';
import { checkSameVocabulary } from './same-vocabulary.js';

const VOCABULARY = 5;
const tokenizer = byteTokenizer(VOCABULARY);
const PROMPT = [0, 1, 2, 0, 1];
const targetLogits = hashedLogits(VOCABULARY, 7);
const draftLogits = hashedLogits(VOCABULARY, 1234);

async function run(model: TokenModel, options: GenerateOptions, prompt: readonly number[] = PROMPT) {
  const tokens = generate(model, tokenizer, prompt, options);
  const ids: number[] = [];
  let text = '';
  for (;;) {
    const step = await tokens.next();
    if (step.done) return { ids, text, summary: step.value };
    ids.push(step.value.id);
    text += step.value.text;
  }
}

/** Drafts that are right and wrong in turn, whatever the text. */
const stubbornDrafter: Drafter = {
  maxTokens: 3,
  start: () => ({
    propose: async ({ history, limit }) => ({ tokens: [history.length % 4, 1, 2].slice(0, limit) }),
  }),
};

const drafters: Record<string, () => Drafter> = {
  'a model of its own mind': () =>
    new ModelDrafter(tableModel(VOCABULARY, draftLogits), { maxTokens: 3, minProbability: 0 }),
  'a model that stops where it is unsure': () =>
    new ModelDrafter(tableModel(VOCABULARY, draftLogits), { maxTokens: 3, minProbability: 0.4 }),
  'a model that drafts at least two': () =>
    new ModelDrafter(tableModel(VOCABULARY, draftLogits), { maxTokens: 3, minTokens: 2, minProbability: 1 }),
  'the same model': () =>
    new ModelDrafter(tableModel(VOCABULARY, targetLogits), { maxTokens: 3, minProbability: 0 }),
  'look-up': () => new LookupDrafter({ ngramSize: 1, maxTokens: 3 }),
  'fixed guesses': () => stubbornDrafter,
};

const chains: Record<string, SamplingOptions> = {
  'temperature alone': { temperature: 1, topP: 1, minP: 0 },
  'top-k': { temperature: 0.8, topK: 3, topP: 1, minP: 0 },
  'top-p and min-p': { temperature: 1.3, topP: 0.8, minP: 0.1 },
  penalties: {
    temperature: 1,
    topP: 1,
    minP: 0,
    repeatPenalty: 1.4,
    presencePenalty: 0.3,
    frequencyPenalty: 0.5,
  },
};

const LENGTH = 4;

/** Probability of every text of `LENGTH` tokens (fewer where it ends). */
function exactDistribution(options: SamplingOptions): Map<string, number> {
  const sampler = new Sampler({ ...options, seed: 0 }, VOCABULARY);
  const all = new Map<string, number>();
  const extend = (ids: readonly number[], probability: number): void => {
    if (ids.length === LENGTH || tokenizer.stopIds.includes(ids.at(-1)!)) {
      all.set(ids.join(), probability);
      return;
    }
    const text = [...PROMPT, ...ids];
    const next = sampler.distribution(Float32Array.from(targetLogits(text)), text);
    for (const [i, id] of next.ids.entries()) extend([...ids, id], probability * next.probabilities[i]!);
  };
  extend([], 1);
  return all;
}

describe('the distribution of the text', () => {
  const cases = Object.keys(drafters).flatMap((drafter) =>
    Object.keys(chains).map((chain) => [drafter, chain]),
  );

  it.each(cases)('does not change: %s, %s', async (drafterName, chain) => {
    const options = chains[chain!]!;
    const drafter = drafters[drafterName!]!();
    const model = tableModel(VOCABULARY, targetLogits);
    const expected = exactDistribution(options);
    const counts = new Map<string, number>();
    const runs = 1500;
    for (let seed = 0; seed < runs; seed++) {
      const { ids } = await run(model, { ...options, maxTokens: LENGTH, seed, drafter });
      counts.set(ids.join(), (counts.get(ids.join()) ?? 0) + 1);
    }
    expect([...counts.keys()].filter((text) => !expected.has(text))).toEqual([]);
    // Pearson's chi-squared; rare texts together are one class.
    let statistic = 0;
    let classes = 0;
    const rare = { expected: 0, found: 0 };
    for (const [text, probability] of expected) {
      const found = counts.get(text) ?? 0;
      if (probability * runs >= 5) {
        statistic += (found - probability * runs) ** 2 / (probability * runs);
        classes++;
      } else {
        rare.expected += probability * runs;
        rare.found += found;
      }
    }
    if (rare.expected > 0) statistic += (rare.found - rare.expected) ** 2 / rare.expected;
    // Mean k, variance 2k: five deviations above, which chance passes once in some millions. The seeds are fixed.
    expect(statistic).toBeLessThan(classes + 5 * Math.sqrt(2 * classes));
  });

  it.each(['look-up', 'fixed guesses'])('and a seed gives the same text: %s', async (name) => {
    for (let seed = 0; seed < 30; seed++) {
      const options = { ...chains.penalties, maxTokens: 30, seed, ignoreEos: true };
      const plain = await run(tableModel(VOCABULARY, targetLogits), options);
      const { ids, summary } = await run(tableModel(VOCABULARY, targetLogits), {
        ...options,
        drafter: drafters[name]!(),
      });
      expect(ids).toEqual(plain.ids);
      expect(summary.draftedTokens).toBeGreaterThan(0);
    }
  });

  it.each(Object.keys(drafters))('without temperature the text is the same: %s', async (name) => {
    const options = { temperature: 0, repeatPenalty: 1.2, maxTokens: 40, ignoreEos: true };
    const plain = await run(tableModel(VOCABULARY, targetLogits), options);
    const { ids } = await run(tableModel(VOCABULARY, targetLogits), {
      ...options,
      drafter: drafters[name]!(),
    });
    expect(ids).toEqual(plain.ids);
  });
});

describe('generation with a drafter', () => {
  const cycle = (text: readonly number[]) => {
    const logits = new Array<number>(VOCABULARY).fill(0);
    logits[(text.at(-1)! + 1) % (VOCABULARY - 1)] = 60;
    return logits;
  };
  const perfect = () => new ModelDrafter(tableModel(VOCABULARY, cycle), { maxTokens: 4 });

  it('counts drafted and accepted tokens and takes fewer steps', async () => {
    const model = tableModel(VOCABULARY, cycle);
    const { ids, summary } = await run(model, { drafter: perfect(), maxTokens: 11 });
    expect(ids).toEqual([2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0]);
    expect(model.calls.map(({ position, tokens }) => [position, tokens.length])).toEqual([
      [0, 5],
      [5, 5],
      [10, 5],
    ]);
    expect(summary).toMatchObject({
      reason: 'length',
      generatedTokens: 11,
      draftedTokens: 8,
      acceptedTokens: 8,
      evaluatedTokens: 15,
    });
  });

  it('does not count guesses that were wrong, nor leave them in the cache', async () => {
    const model = tableModel(VOCABULARY, cycle);
    const wrong: Drafter = {
      maxTokens: 3,
      start: () => ({
        propose: async ({ history }) => ({ tokens: [(history.at(-1)! + 1) % 4, 4, 4] }),
      }),
    };
    const { ids, summary } = await run(model, { drafter: wrong, maxTokens: 9 });
    expect(ids).toEqual([2, 3, 0, 1, 2, 3, 0, 1, 2]);
    expect(model.calls.map(({ position }) => position)).toEqual([0, 5, 7, 9, 11]);
    expect(summary).toMatchObject({ draftedTokens: 12, acceptedTokens: 4, evaluatedTokens: 13 });
  });

  it('fills the context exactly', async () => {
    for (let contextSize = 6; contextSize < 20; contextSize++) {
      const { ids, summary } = await run(tableModel(VOCABULARY, cycle, contextSize), { drafter: perfect() });
      expect([ids.length, summary.reason]).toEqual([contextSize - 5, 'context']);
    }
  });

  it('stops at a stop string in the middle of a draft', async () => {
    const { text, summary } = await run(tableModel(VOCABULARY, cycle), {
      drafter: perfect(),
      stop: ['\x00\x01'],
    });
    expect(text).toBe('\x02\x03');
    expect(summary).toMatchObject({ reason: 'stop', generatedTokens: 4, evaluatedTokens: 9 });
  });

  it('stops at a drafted stop token', async () => {
    const ending = (text: readonly number[]) => {
      const logits = cycle(text);
      if (text.length >= 8) logits[VOCABULARY - 1] = 99;
      return logits;
    };
    const drafter = new ModelDrafter(tableModel(VOCABULARY, ending));
    const { ids, summary } = await run(tableModel(VOCABULARY, ending), { drafter });
    expect(ids).toEqual([2, 3, 0, 4]);
    expect(summary).toMatchObject({ reason: 'stop', draftedTokens: 3, acceptedTokens: 3 });
  });

  it("keeps to the draft model's shorter context", async () => {
    for (const draftContext of [1, 4, 5, 8]) {
      const drafter = new ModelDrafter(tableModel(VOCABULARY, cycle, draftContext));
      const { ids } = await run(tableModel(VOCABULARY, cycle), { drafter, maxTokens: 12 });
      expect(ids).toEqual([2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
    }
  });

  it('drafts for one text after another', async () => {
    const drafter = perfect();
    await run(tableModel(VOCABULARY, cycle), { drafter, maxTokens: 7 });
    const { ids } = await run(tableModel(VOCABULARY, cycle), { drafter, maxTokens: 6 }, [3, 3]);
    expect(ids).toEqual([0, 1, 2, 3, 0, 1]);
  });

  it('ends on cancellation, also while drafting and between tokens of one step', async () => {
    for (const calls of [1, 3, 6]) {
      const controller = new AbortController();
      const draftModel = tableModel(VOCABULARY, cycle);
      let left = calls;
      const drafter = new ModelDrafter({
        ...draftModel,
        evaluate: (...parameters) => {
          if (left-- === 0) controller.abort();
          return draftModel.evaluate(...parameters);
        },
      });
      const { summary } = await run(tableModel(VOCABULARY, cycle), { drafter, signal: controller.signal });
      expect(summary.reason).toBe('cancelled');
    }
    const controller = new AbortController();
    const tokens = generate(tableModel(VOCABULARY, cycle), tokenizer, PROMPT, {
      drafter: perfect(),
      signal: controller.signal,
    });
    for (let i = 0; i < 3; i++) await tokens.next();
    controller.abort();
    expect((await tokens.next()).value).toMatchObject({
      reason: 'cancelled',
      generatedTokens: 3,
      acceptedTokens: 2,
      evaluatedTokens: 8,
    });
  });
});

describe('DraftPace', () => {
  const lengths = (results: readonly [drafted: number, accepted: number][], max = 8) => {
    const pace = new DraftPace(max);
    return results.map((result) => {
      const length = pace.next();
      pace.record(...result);
      return length;
    });
  };

  it('grows while guesses are right and shrinks to what was', () => {
    expect(
      lengths([
        [8, 3],
        [4, 4],
        [8, 8],
        [8, 1],
        [2, 2],
        [4, 4],
        [8, 8],
      ]),
    ).toEqual([8, 4, 8, 8, 2, 4, 8]);
    expect(
      lengths(
        [
          [1, 0],
          [0, 0],
          [1, 1],
          [1, 1],
        ],
        1,
      ),
    ).toEqual([1, 0, 1, 1]);
  });

  it('rests longer after each wrong one', () => {
    const wrong: [number, number] = [2, 0];
    const none: [number, number] = [0, 0];
    expect(lengths([wrong, none, wrong, none, none, none, [2, 1], [2, 2]])).toEqual([8, 0, 2, 0, 0, 0, 2, 2]);
  });
});

describe('LookupDrafter', () => {
  const request = (history: readonly number[], limit: number) => ({
    history,
    limit,
    constraint: undefined,
    signal: undefined,
  });
  const propose = (history: readonly number[], limit: number, options = {}) =>
    new LookupDrafter({ ngramSize: 2, ...options })
      .start()
      .propose(request(history, limit))
      .then(({ tokens }) => tokens);

  it('proposes what followed last time', async () => {
    expect(await propose([1, 2, 3, 1, 2, 4, 5, 1, 2], 2)).toEqual([4, 5]);
    expect(await propose([1, 2, 3, 4], 2)).toEqual([]);
    expect(await propose([1], 2)).toEqual([]);
  });

  it('goes on with a repetition', async () => {
    expect(await propose([9, 1, 2, 1, 2], 5)).toEqual([1, 2, 1, 2, 1]);
  });

  it('leaves out drafts that are too short', async () => {
    expect(await propose([1, 2, 3, 1, 2], 2, { minTokens: 3 })).toEqual([]);
    expect(await propose([1, 2, 3, 1, 2], 3, { minTokens: 3 })).toEqual([3, 1, 2]);
  });

  it('follows the text as it grows', async () => {
    const drafts = new LookupDrafter({ ngramSize: 2 }).start();
    const text = [1, 2, 3];
    expect((await drafts.propose(request(text, 1))).tokens).toEqual([]);
    text.push(1, 2);
    expect((await drafts.propose(request(text, 1))).tokens).toEqual([3]);
    text.push(5, 1, 2);
    expect((await drafts.propose(request(text, 1))).tokens).toEqual([5]);
  });
});

describe('options', () => {
  it.each<[string, () => Drafter]>([
    ['no tokens', () => new LookupDrafter({ maxTokens: 0 })],
    ['part of a token', () => new LookupDrafter({ ngramSize: 1.5 })],
    [
      'a probability above 1',
      () =>
        new ModelDrafter(
          tableModel(1, () => []),
          { minProbability: 2 },
        ),
    ],
  ])('refuse %s', (_, create) => {
    expect(create).toThrow(expect.objectContaining({ code: 'bad-draft-option' }));
  });
});

describe('checkSameVocabulary', () => {
  const vocabulary = (texts: string[]) => ({
    texts,
    kinds: new Uint8Array(texts.length).fill(1),
    ids: new Map(),
    merges: [],
    ignoreMerges: true,
    bosId: undefined,
    padId: undefined,
    stopIds: [],
  });

  it('takes the same tokens only', () => {
    checkSameVocabulary(vocabulary(['a', 'b']), vocabulary(['a', 'b']));
    for (const [texts, message] of [
      [['a'], /found 1 tokens in place of 2/],
      [['a', 'c'], /found token 1 to be "c" in place of "b"/],
    ] as const) {
      expect(() => checkSameVocabulary(vocabulary(['a', 'b']), vocabulary([...texts]))).toThrow(message);
    }
  });
});
