import { describe, expect, it } from 'vitest';
import { CriaError } from '../base/errors.js';
import type { TokenModel } from '../model/token-model.js';
import { StreamingDecoder } from '../model/tokenizer/index.js';
import {
  type GenerateOptions,
  type GenerationSummary,
  type GenerationTokenizer,
  generate,
} from './generate.js';

const STOP = 256;
const OTHER_SPECIAL = 257;
const TOKENS = 258;

/** One token per byte, and two control tokens. */
const tokenizer: GenerationTokenizer = {
  vocabSize: TOKENS,
  stopIds: [STOP],
  streamingDecoder: (options) =>
    new StreamingDecoder(
      {
        decodeBytes: (ids, { skipSpecial } = {}) =>
          Uint8Array.from(ids).length === 1 && ids[0]! < 256
            ? Uint8Array.of(ids[0]!)
            : new TextEncoder().encode(skipSpecial ? '' : '<|x|>'),
      },
      options,
    ),
};

interface Call {
  readonly tokens: number[];
  readonly position: number;
}

/** Says the script after any prompt of `promptLength` tokens, then the stop token; remembers its calls. */
function scriptedModel(script: readonly number[], promptLength: number, contextSize = 1000) {
  const calls: Call[] = [];
  const model: TokenModel = {
    vocabSize: TOKENS + 6,
    contextSize,
    async evaluate(tokens, position, outputs, signal) {
      if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
      expect(outputs).toBe('last');
      calls.push({ tokens: Array.from(tokens), position });
      const logits = new Float32Array(TOKENS + 6).fill(0);
      logits[script[position + tokens.length - promptLength] ?? STOP] = 50;
      logits[TOKENS + 2] = 99;
      return logits;
    },
  };
  return { model, calls };
}

const bytes = (text: string) => [...new TextEncoder().encode(text)];
const PROMPT = bytes('prompt');

async function run(model: TokenModel, options: GenerateOptions, prompt: readonly number[] = PROMPT) {
  const generation = generate(model, tokenizer, prompt, options);
  const ids: number[] = [];
  const texts: string[] = [];
  for (;;) {
    const step = await generation.next();
    if (step.done) return { ids, texts, text: texts.join(''), summary: step.value };
    ids.push(step.value.id);
    texts.push(step.value.text);
  }
}

describe('generate', () => {
  it('yields tokens until the stop token', async () => {
    const { model, calls } = scriptedModel(bytes('hé!'), 6);
    const { ids, texts, summary } = await run(model, { seed: 3 });
    expect(ids).toEqual([...bytes('hé!'), STOP]);
    expect(texts).toEqual(['h', '', 'é', '!', '']);
    expect(summary).toMatchObject<Partial<GenerationSummary>>({
      reason: 'stop',
      promptTokens: 6,
      reusedTokens: 0,
      generatedTokens: 5,
      seed: 3,
      evaluatedTokens: 10,
    });
    expect(calls[0]).toEqual({ tokens: PROMPT, position: 0 });
    expect(calls.slice(1).map(({ position }) => position)).toEqual([6, 7, 8, 9]);
  });

  it('stops at a stop string over several tokens and does not show it', async () => {
    const { model } = scriptedModel(bytes('answer\nUser: more'), 6);
    const { text, ids, summary } = await run(model, { stop: ['\nUser:'] });
    expect(text).toBe('answer');
    expect(ids).toHaveLength('answer\nUser:'.length);
    expect(summary.reason).toBe('stop');
  });

  it('gives held-back text with the last token', async () => {
    const stop = ['\nUser:'];
    expect((await run(scriptedModel(bytes('a\nUse'), 6).model, { stop })).text).toBe('a\nUse');
    const cut = await run(scriptedModel(bytes('a\nUser:'), 6).model, { stop, maxTokens: 4 });
    expect(cut.texts).toEqual(['a', '', '', '\nUs']);
    expect(cut.summary.reason).toBe('length');
  });

  it('shows an unfinished character at the end as U+FFFD', async () => {
    const { text } = await run(scriptedModel(bytes('aé'), 6).model, { maxTokens: 2 });
    expect(text).toBe('a\ufffd');
  });

  it('ends when the context is full', async () => {
    const { model, calls } = scriptedModel(bytes('abcdefgh'), 6, 9);
    const { text, summary } = await run(model, {});
    expect(text).toBe('abc');
    expect(summary.reason).toBe('context');
    expect(calls.at(-1)!.position).toBe(7);
    expect((await run(scriptedModel([], 6, 6).model, {})).summary).toMatchObject({
      reason: 'context',
      generatedTokens: 0,
    });
  });

  it('evaluates nothing for no tokens', async () => {
    const { model, calls } = scriptedModel([], 6);
    const { ids, summary } = await run(model, { maxTokens: 0 });
    expect([ids, calls, summary.reason]).toEqual([[], [], 'length']);
  });

  it('never samples ids beyond the tokenizer, nor stop tokens when they are ignored', async () => {
    const { model } = scriptedModel(bytes('ab'), 6);
    const { ids, summary } = await run(model, { ignoreEos: true, maxTokens: 30, seed: 1 });
    expect(ids.every((id) => id < TOKENS && id !== STOP)).toBe(true);
    expect(summary.reason).toBe('length');
  });

  it('takes other stop tokens', async () => {
    const { model } = scriptedModel(bytes('ab.cd'), 6);
    const { text, ids } = await run(model, { stopTokens: bytes('.') });
    expect(text).toBe('ab');
    expect(ids).toEqual(bytes('ab.'));
  });

  it('shows control tokens on request', async () => {
    const script = [...bytes('a'), OTHER_SPECIAL, ...bytes('b')];
    expect((await run(scriptedModel(script, 6).model, {})).text).toBe('ab');
    expect((await run(scriptedModel(script, 6).model, { showSpecial: true })).text).toBe('a<|x|>b');
  });

  it('evaluates only what the cache does not hold', async () => {
    const { model, calls } = scriptedModel(bytes('x'), 6);
    const { summary } = await run(model, { cachedTokens: 4 });
    expect(calls[0]).toEqual({ tokens: PROMPT.slice(4), position: 4 });
    expect(summary.reusedTokens).toBe(4);
    const whole = scriptedModel(bytes('x'), 6);
    await run(whole.model, { cachedTokens: 6 });
    expect(whole.calls[0]).toEqual({ tokens: PROMPT.slice(5), position: 5 });
  });

  it('ends on cancellation, before and between tokens', async () => {
    const controller = new AbortController();
    const { model } = scriptedModel(bytes('abcdef'), 6);
    const generation = generate(model, tokenizer, PROMPT, { signal: controller.signal });
    await generation.next();
    await generation.next();
    controller.abort();
    const last = await generation.next();
    expect(last).toMatchObject({ done: true, value: { reason: 'cancelled', generatedTokens: 2 } });
    const late = await run(model, { signal: controller.signal });
    expect(late.summary).toMatchObject({ reason: 'cancelled', generatedTokens: 0 });
  });

  it('ends on cancellation during an evaluation', async () => {
    const controller = new AbortController();
    const { model } = scriptedModel(bytes('abc'), 6);
    const slow: TokenModel = {
      ...model,
      async evaluate(tokens, position, outputs, signal) {
        if (position > 6) controller.abort();
        return model.evaluate(tokens, position, outputs, signal);
      },
    };
    const { summary } = await run(slow, { signal: controller.signal });
    expect(summary).toMatchObject({ reason: 'cancelled', generatedTokens: 2 });
  });

  it('passes on other errors of the model', async () => {
    const { model } = scriptedModel([], 6);
    const broken: TokenModel = { ...model, evaluate: () => Promise.reject(new Error('worker died')) };
    await expect(run(broken, {})).rejects.toThrow('worker died');
  });

  it('gives the same text for the same seed', async () => {
    const flat: TokenModel = {
      vocabSize: TOKENS,
      contextSize: 60,
      evaluate: async () => new Float32Array(TOKENS),
    };
    const options = { topP: 1, minP: 0, ignoreEos: true };
    const first = await run(flat, { ...options, seed: 9 });
    expect((await run(flat, { ...options, seed: 9 })).ids).toEqual(first.ids);
    expect((await run(flat, { ...options, seed: 10 })).ids).not.toEqual(first.ids);
  });

  it('lets repeat penalties see the prompt', async () => {
    const flat: TokenModel = {
      vocabSize: TOKENS,
      contextSize: 60,
      evaluate: async () => new Float32Array(TOKENS),
    };
    const prompt = Array.from({ length: 10 }, (_, i) => i);
    const { ids } = await run(flat, { temperature: 0, presencePenalty: 1, maxTokens: 3 }, prompt);
    expect(ids).toEqual([10, 11, 12]);
  });

  it.each<[string, GenerateOptions, readonly number[], string]>([
    ['an empty prompt', {}, [], 'empty-prompt'],
    ['a prompt longer than the context', {}, new Array(11).fill(1), 'prompt-too-long'],
    ['a negative length', { maxTokens: -1 }, PROMPT, 'bad-generation-option'],
    ['a length that is no integer', { maxTokens: 1.5 }, PROMPT, 'bad-generation-option'],
    ['more cached tokens than the prompt has', { cachedTokens: 7 }, PROMPT, 'bad-generation-option'],
    ['an empty stop string', { stop: [''] }, PROMPT, 'empty-stop-string'],
    ['a sampling option out of range', { topP: 2 }, PROMPT, 'bad-sampling-option'],
  ])('refuses %s', async (_, options, prompt, code) => {
    const { model, calls } = scriptedModel([], 6, 10);
    await expect(run(model, options, prompt)).rejects.toMatchObject({ kind: 'usage', code });
    expect(calls).toEqual([]);
  });
});
