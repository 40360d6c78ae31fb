import { describe, expect, it } from 'vitest';
import { failureOf, RequestFailure } from './failure.js';
import { answerEvents } from './server-api.js';

describe('events of an answer', () => {
  it('are those of a chunk', () => {
    const call = (part: object) => ({ choices: [{ delta: { tool_calls: [{ index: 0, ...part }] } }] });
    const chunks = [
      { choices: [{ delta: { content: '' } }], usage: null },
      { choices: [{ delta: { content: 'Hi' }, finish_reason: null }] },
      call({ id: 'c', function: { name: 'f', arguments: '' } }),
      call({ function: { arguments: '{}' } }),
      { choices: [{ delta: {}, finish_reason: 'length' as const }] },
      { choices: [], usage: { prompt_tokens: 9, completion_tokens: 2 } },
    ];
    expect(chunks.flatMap((chunk) => [...answerEvents(chunk)])).toEqual([
      { type: 'text', text: 'Hi' },
      { type: 'call', index: 0, id: 'c', name: 'f' },
      { type: 'arguments', index: 0, text: '{}' },
      { type: 'end', reason: 'length' },
      { type: 'usage', prompt: 9, cached: 0, generated: 2 },
    ]);
  });

  it('may be an error on the way', () => {
    expect(() => [...answerEvents({ error: { message: 'out of memory' } })]).toThrow(RequestFailure);
  });
});

describe('refusals', () => {
  const error = (code: string) => ({ error: { code, message: 'why' } });
  it.each([
    [401, error('invalid_api_key'), null, { kind: 'unauthorized' }],
    [503, error('queue-full'), '2', { kind: 'busy', detail: 'why', retryAfter: 2 }],
    [503, undefined, 'Wed, 21 Oct 2026 07:28:00 GMT', { kind: 'busy' }],
    [400, error('context_length_exceeded'), null, { kind: 'too-long', detail: 'why' }],
    [400, error('no-vision'), null, { kind: 'no-vision' }],
    [400, error('bad-request'), null, { kind: 'refused', detail: 'why' }],
    [413, error('too-large'), null, { kind: 'too-large', detail: 'why' }],
    [500, '<html>', null, { kind: 'server' }],
    [502, { error: 'text' }, null, { kind: 'server' }],
  ])('%i is told in the page’s own words', (status, body, retryAfter, expected) => {
    expect(failureOf(status, body, retryAfter)).toEqual(expected);
  });
});
