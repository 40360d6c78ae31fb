import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type GenerateOptions,
  jsonSchemaGrammar,
  LookupDrafter,
  ModelDrafter,
  parseGbnf,
  TokenGrammar,
} from '../src/generate/index.js';
import { loadModel, type Model } from '../src/generate/load-model.js';
import { loadDraftModel } from '../src/generate/speculation/load-draft-model.js';
import { validates } from '../src/generate/testing/validate.js';
import { NANO_SCOUT } from './golden.js';

let model: Model;
let draft: Model;

beforeAll(async () => {
  model = await loadModel(NANO_SCOUT, { threads: 2, contextSize: 512 });
  draft = await loadDraftModel(NANO_SCOUT, model, { threads: 1 });
});

afterAll(async () => {
  await draft.close();
  await model.close();
});

async function write(prompt: string, options: GenerateOptions) {
  const run = model.generate(model.tokenizer.encode(prompt, { addBos: true }), options);
  let text = '';
  for (;;) {
    const step = await run.next();
    if (step.done) return { text, summary: step.value };
    text += step.value.text;
  }
}

describe('speculation on nano-scout', () => {
  // Logits of one token and of several at once differ in their last bits only; no two tokens here are as close.
  it('does not change greedy text', async () => {
    const options = { temperature: 0, maxTokens: 60, ignoreEos: true };
    const prompt = 'The tailor counted his coins. The tailor counted his';
    const plain = await write(prompt, options);
    const lookedUp = await write(prompt, { ...options, drafter: new LookupDrafter({ ngramSize: 2 }) });
    const drafted = await write(prompt, { ...options, drafter: new ModelDrafter(draft) });
    expect(lookedUp.text).toBe(plain.text);
    expect(drafted.text).toBe(plain.text);
    expect(lookedUp.summary.acceptedTokens).toBeGreaterThan(0);
    expect(drafted.summary).toMatchObject({ acceptedTokens: drafted.summary.draftedTokens });
  });
});

describe('constrained text of nano-scout', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string', maxLength: 12 },
      kind: { enum: ['camel', 'llama'] },
      legs: { type: 'integer', minimum: 2, maximum: 4 },
      young: { type: 'array', items: { $ref: '#' }, maxItems: 1 },
    },
    required: ['name', 'kind', 'legs'],
    additionalProperties: false,
  };

  it('is valid JSON by the schema, with and without drafts', async () => {
    const constraint = new TokenGrammar(jsonSchemaGrammar(schema), model.tokenizer);
    let ended = 0;
    for (let seed = 0; seed < 3; seed++) {
      const drafter = [undefined, new LookupDrafter({ ngramSize: 1 }), new ModelDrafter(draft)][seed % 3];
      const { text, summary } = await write('A llama as JSON:', {
        constraint,
        drafter,
        seed,
        temperature: 1,
      });
      if (summary.reason !== 'stop') continue;
      ended++;
      expect([text, validates(schema, JSON.parse(text))]).toEqual([text, true]);
    }
    expect(ended).toBeGreaterThan(1);
  });

  it('keeps to a grammar after a trigger only', async () => {
    const grammar = parseGbnf('root ::= " " ("no" | "yes") "."');
    const constraint = new TokenGrammar(grammar, model.tokenizer, { texts: [' the'] });
    const { text, summary } = await write('Once upon a time', { constraint, temperature: 0, maxTokens: 100 });
    expect(summary.reason).toBe('stop');
    expect(text).toMatch(/ the (no|yes)\.$/);
  });
});
