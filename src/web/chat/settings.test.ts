import { describe, expect, it } from 'vitest';
import { INITIAL_SETTINGS, parseTools, readSettings, requestFields } from './settings.js';

const TOOLS = '[{"type": "function", "function": {"name": "weather"}}]';

describe('stored settings', () => {
  it('come back', () => {
    const settings = {
      ...INITIAL_SETTINGS,
      theme: 'dark' as const,
      language: 'ja' as const,
      apiKey: 'k',
      system: 's',
      sampling: { temperature: 0, top_k: 40 },
      maxTokens: 100,
      seed: 7,
      tools: TOOLS,
    };
    expect(readSettings(JSON.stringify(settings))).toEqual(settings);
  });

  it.each([
    null,
    '',
    'null',
    '[]',
    '{"theme": 5, "sampling": {"temperature": 99, "top_p": "1"}, "seed": -1}',
  ])('are the initial ones where %j says nothing sensible', (stored) =>
    expect(readSettings(stored)).toEqual(INITIAL_SETTINGS),
  );
});

describe('fields of a request', () => {
  it('leave the recommended values to the server', () => expect(requestFields(INITIAL_SETTINGS)).toEqual({}));

  it('hold what was chosen', () => {
    const settings = {
      ...INITIAL_SETTINGS,
      sampling: { temperature: 0 },
      maxTokens: 5,
      seed: 0,
      tools: TOOLS,
    };
    expect(requestFields(settings)).toEqual({
      temperature: 0,
      max_tokens: 5,
      seed: 0,
      tools: [{ type: 'function', function: { name: 'weather' } }],
    });
  });

  it('have no tools where the text is no list of functions', () => {
    for (const text of ['{', '{}', '[1]', '[{"function": {}}]']) expect(parseTools(text)).toBeUndefined();
    expect(requestFields({ ...INITIAL_SETTINGS, tools: '[1]' })).toEqual({});
  });
});
