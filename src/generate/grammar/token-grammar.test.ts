import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TokenModel } from '../../model/token-model.js';
import { StreamingDecoder } from '../../model/tokenizer/index.js';
import { type GenerateOptions, generate } from '../generate.js';
import { LookupDrafter } from '../speculation/lookup-drafter.js';
import { ModelDrafter } from '../speculation/model-drafter.js';
import { END_OF_TURN, PYTHON_START, wordTokenizer } from '../testing/byte-grammar-tokenizer.js';
import { hashedLogits, tableModel } from '../testing/table-model.js';
import { parseGbnf } from './parse-gbnf.js';
import { TokenGrammar } from './token-grammar.js';
import type { Triggers } from './waiting-state.js';

const WORDS = [
  'ab',
  'abc',
  '12',
  '猫',
  '\xe7\x8c',
  '"}',
  '"},',
  ' {"',
  '": ',
  'call:',
  'all:1',
  'x call:',
  ':12a',
];
const tokenizer = wordTokenizer(WORDS);
const STOPS = new Set([END_OF_TURN]);
const idOf = (word: string) => 258 + WORDS.indexOf(word);

function grammarOf(gbnf: string, triggers?: Triggers): TokenGrammar {
  return new TokenGrammar(parseGbnf(gbnf), tokenizer, triggers);
}

/** Ids that may follow a text of these ids. */
function allowedAfter(grammar: TokenGrammar, ids: readonly number[]): number[] {
  const run = grammar.start(STOPS);
  for (const id of ids) run.accept(id);
  const logits = new Float32Array(tokenizer.vocabSize + 3);
  run.mask(logits);
  const allowed = [...logits.keys()].filter((id) => logits[id] === 0);
  expect(allowed).toEqual([...logits.keys()].filter((id) => id < tokenizer.vocabSize && run.allows(id)));
  return allowed;
}

const ids = (text: string) => [...new TextEncoder().encode(text)];

describe('TokenGrammar', () => {
  it('allows tokens whose whole text may follow', () => {
    const grammar = grammarOf('root ::= "ab" ("c" | "d")');
    expect(allowedAfter(grammar, [])).toEqual([...ids('a'), idOf('ab'), idOf('abc')]);
    expect(allowedAfter(grammar, ids('a'))).toEqual(ids('b'));
    expect(allowedAfter(grammar, [idOf('ab')])).toEqual(ids('cd'));
  });

  it('allows stop tokens where the text may end', () => {
    const grammar = grammarOf('root ::= "12"+');
    expect(allowedAfter(grammar, [])).not.toContain(END_OF_TURN);
    expect(allowedAfter(grammar, [idOf('12')])).toContain(END_OF_TURN);
    expect(allowedAfter(grammar, [idOf('12')])).not.toContain(PYTHON_START);
  });

  it('follows characters through parts of them', () => {
    const grammar = grammarOf('root ::= "猫" | [a-b]');
    const [first, second, third] = ids('猫') as [number, number, number];
    expect(allowedAfter(grammar, [])).toEqual([...ids('ab'), first, idOf('猫')]);
    expect(allowedAfter(grammar, [first])).toEqual([second]);
    expect(allowedAfter(grammar, [first, second])).toEqual([third]);
  });

  it('allows control tokens that the grammar names, and their text nowhere', () => {
    const grammar = grammarOf('root ::= <|python_start|> "ab"');
    expect(allowedAfter(grammar, [])).toEqual([PYTHON_START]);
    expect(allowedAfter(grammar, [PYTHON_START])).toEqual([...ids('a'), idOf('ab')]);
  });

  it('allows everything up to a trigger and the grammar after it', () => {
    const grammar = grammarOf('root ::= [0-9]{2} "!"', { texts: ['call:', '<<'] });
    const free = allowedAfter(grammar, []);
    expect(free).toHaveLength(tokenizer.vocabSize);
    // 'all:1' after 'c' and ':12a' after 'call' would be the trigger and more than the grammar has.
    expect(free).toContain(idOf(':12a'));
    expect(allowedAfter(grammar, ids('x cal'))).toHaveLength(tokenizer.vocabSize);
    expect(allowedAfter(grammar, ids('x call'))).not.toContain(idOf(':12a'));
    expect(allowedAfter(grammar, ids('c'))).toContain(idOf('all:1'));
    expect(allowedAfter(grammar, [...ids('c'), idOf('all:1')])).toEqual(ids('0123456789'));
    expect(allowedAfter(grammar, [idOf('x call:')])).toEqual([...ids('0123456789'), idOf('12')]);
    expect(allowedAfter(grammar, ids('a<<12'))).toEqual(ids('!'));
    expect(allowedAfter(grammar, ids('a<<12!'))).toEqual([END_OF_TURN]);
  });

  it('begins after a token', () => {
    const grammar = grammarOf('root ::= "ab"', { tokens: [PYTHON_START] });
    expect(allowedAfter(grammar, ids('text'))).toHaveLength(tokenizer.vocabSize);
    expect(allowedAfter(grammar, [...ids('text'), PYTHON_START])).toEqual([...ids('a'), idOf('ab')]);
  });

  it('refuses tokens that may not come', () => {
    const run = grammarOf('root ::= "a"').start(STOPS);
    for (const id of [...ids('b'), END_OF_TURN, PYTHON_START]) {
      expect(() => run.accept(id)).toThrow(expect.objectContaining({ code: 'token-not-allowed' }));
    }
    const fork = run.fork();
    fork.accept(ids('a')[0]!);
    expect([run.mustEnd, fork.mustEnd]).toEqual([false, true]);
  });
});

const generationTokenizer = {
  vocabSize: tokenizer.vocabSize,
  stopIds: [END_OF_TURN],
  streamingDecoder: () => new StreamingDecoder(tokenizer),
};

async function write(model: TokenModel, options: GenerateOptions) {
  const run = generate(model, generationTokenizer, ids('Q:'), options);
  let text = '';
  for (;;) {
    const step = await run.next();
    if (step.done) return { text, summary: step.value };
    text += step.value.text;
  }
}

describe('generation under a grammar', () => {
  const grammar = grammarOf('root ::= item ("," item){2}\nitem ::= "ab"{1,3} [0-9] | "{" item "}"{1}');
  const form = /^(\{*(ab){1,3}\d\}*(,|$)){3}$/;

  it('writes texts of the form, whatever the model', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.constantFrom(0, 0.6, 5), async (salt, temperature) => {
        const model = tableModel(tokenizer.vocabSize, hashedLogits(tokenizer.vocabSize, salt, 9));
        const { text, summary } = await write(model, {
          temperature,
          seed: 1,
          constraint: grammar,
          maxTokens: 300,
          repeatPenalty: 1.1,
        });
        if (summary.reason === 'stop') expect(text).toMatch(form);
      }),
      { numRuns: 60 },
    );
  });

  it('ends where nothing may follow, without a stop token', async () => {
    const model = tableModel(tokenizer.vocabSize, hashedLogits(tokenizer.vocabSize, 5));
    const constraint = grammarOf('root ::= "abc"');
    for (const ignoreEos of [false, true]) {
      const { text, summary } = await write(model, { constraint, ignoreEos });
      expect([text, summary.reason]).toEqual(['abc', 'stop']);
    }
  });

  it('is the same with drafts', async () => {
    const logits = hashedLogits(tokenizer.vocabSize, 42, 3);
    for (const temperature of [0, 0.8]) {
      const options = { temperature, seed: 3, constraint: grammar, maxTokens: 80 };
      const plain = await write(tableModel(tokenizer.vocabSize, logits), options);
      const lookedUp = await write(tableModel(tokenizer.vocabSize, logits), {
        ...options,
        drafter: new LookupDrafter({ ngramSize: 1 }),
      });
      expect(lookedUp.text).toBe(plain.text);
      const drafter = new ModelDrafter(tableModel(tokenizer.vocabSize, logits), { minProbability: 0 });
      const drafted = await write(tableModel(tokenizer.vocabSize, logits), { ...options, drafter });
      if (temperature === 0) expect(drafted.text).toBe(plain.text);
      if (drafted.summary.reason === 'stop') expect(drafted.text).toMatch(form);
      // The same model under the same grammar: every guess is right.
      expect(drafted.summary.acceptedTokens).toBe(drafted.summary.draftedTokens);
      expect(drafted.summary.acceptedTokens).toBeGreaterThan(0);
    }
  });
});
