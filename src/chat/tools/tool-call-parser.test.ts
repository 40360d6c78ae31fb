import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toolNames } from './call-match.js';
import { ToolCallParser } from './tool-call-parser.js';

const tool = (name: string, ...parameters: string[]) => ({
  type: 'function',
  function: {
    name,
    parameters: { type: 'object', properties: Object.fromEntries(parameters.map((p) => [p, {}])) },
  },
});
const TOOLS = toolNames([
  tool('get_weather', 'city', 'days'),
  tool('add', 'a', 'b'),
  tool('brave_search', 'query'),
]);
const WITH_CODE = toolNames([tool('code_interpreter', 'code'), tool('add', 'a', 'b')]);

interface Answer {
  text: string;
  calls: { name: string; arguments: unknown }[];
}

function parse(pieces: readonly string[], tools = TOOLS): Answer {
  const parser = new ToolCallParser(tools);
  const events = [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()];
  let text = '';
  const calls: { name: string; arguments: string }[] = [];
  for (const event of events) {
    if (event.type === 'text') text += event.text;
    else if (event.type === 'call') {
      expect(event.index).toBe(calls.length);
      calls.push({ name: event.name, arguments: '' });
    } else calls[event.index]!.arguments += event.text;
  }
  expect(parser.calls).toBe(calls.length);
  return { text, calls: calls.map((call) => ({ ...call, arguments: JSON.parse(call.arguments) })) };
}

const weather = (city: string, more = {}) => ({ name: 'get_weather', arguments: { city, ...more } });
const add = (a: unknown, b: unknown) => ({ name: 'add', arguments: { a, b } });

const ANSWERS: readonly [form: string, answer: string, text: string, calls: Answer['calls']][] = [
  ['no call', 'Hello {world}, a[0] <b>!', 'Hello {world}, a[0] <b>!', []],
  ['bare JSON', '{"name": "get_weather", "parameters": {"city": "Oslo"}}', '', [weather('Oslo')]],
  ['JSON with type', '{"type":"function","name":"add","parameters":{"a":1,"b":2}}', '', [add(1, 2)]],
  ['JSON, arguments first', '{"arguments": {"a": 1, "b": 2}, "name": "add"}', '', [add(1, 2)]],
  ['JSON, arguments in a string', '{"name":"add","arguments":"{\\"a\\":1,\\"b\\":2}"}', '', [add(1, 2)]],
  ['JSON without arguments', '{"name": "add"}', '', [{ name: 'add', arguments: {} }]],
  [
    'JSON in a function object',
    '{"type": "function", "function": {"name": "add", "parameters": {"a": 1, "b": [2]}}}',
    '',
    [add(1, [2])],
  ],
  [
    'tagged JSON',
    '<|python_start|>{"name": "add", "parameters": {"a": 1, "b": 2}}<|python_end|>',
    '',
    [add(1, 2)],
  ],
  [
    'several, by semicolon and line',
    '{"name":"add","parameters":{"a":1,"b":2}}; {"name":"add","parameters":{"a":3,"b":4}}\n{"name":"get_weather","parameters":{"city":"}{\\""}}',
    '',
    [add(1, 2), add(3, 4), weather('}{"')],
  ],
  [
    'a JSON array',
    '[{"name":"add","parameters":{"a":1,"b":2}}, {"name":"add","parameters":{"a":3,"b":4}}]',
    '',
    [add(1, 2), add(3, 4)],
  ],
  [
    'prose before JSON',
    'Let me look.\n\n{"name": "get_weather", "parameters": {"city": "Oslo"}}',
    'Let me look.',
    [weather('Oslo')],
  ],
  [
    'pythonic',
    '[get_weather(city="Oslo", days=3), add(a=1, b=-2.5)]',
    '',
    [weather('Oslo', { days: 3 }), add(1, -2.5)],
  ],
  [
    'pythonic, nested values',
    `[add(a=[1, {'k': (True, None)}, "it's"], b={"x": {"y": [[]]}})]`,
    '',
    [add([1, { k: [true, null] }, "it's"], { x: { y: [[]] } })],
  ],
  ['pythonic, numbers', '[add(a=1_000, b=+.5e3)]', '', [add(1000, 500)]],
  ['pythonic, escapes', String.raw`[get_weather(city='a\n\'\u00e9\\')]`, '', [weather("a\n'é\\")]],
  ['pythonic, by position', '[add(1, b=2)]', '', [add(1, 2)]],
  ['pythonic, no closing bracket', '[add(a=1, b=[2])', '', [add(1, [2])]],
  ['pythonic after prose', 'I will add. [add(a=1, b=2)]', 'I will add.', [add(1, 2)]],
  ['pythonic, tagged', '<|python_start|>[add(a=1, b=2)]<|python_end|>', '', [add(1, 2)]],
  ['function tag', '<function=add>{"a": 1, "b": 2}</function>', '', [add(1, 2)]],
  ['function tag without end', '<function=add>{"a": 1, "b": 2}', '', [add(1, 2)]],
  [
    'two function tags',
    'So:\n<function=add>{"a":1,"b":2}</function><function=add>{"a":3,"b":4}</function>',
    'So:',
    [add(1, 2), add(3, 4)],
  ],
  [
    'method',
    'brave_search.call(query="llamas")',
    '',
    [{ name: 'brave_search', arguments: { query: 'llamas' } }],
  ],
  [
    'an unknown function',
    '{"name": "rm", "parameters": {}} [rm(f=1)]',
    '{"name": "rm", "parameters": {}} [rm(f=1)]',
    [],
  ],
  ['other JSON', 'As JSON: {"name": "Ann", "age": 4}', 'As JSON: {"name": "Ann", "age": 4}', []],
  ['text after a call', '[add(a=1, b=2)] Done.', ' Done.', [add(1, 2)]],
  ['an unfinished call', 'x {"name": "ad', 'x {"name": "ad', []],
  ['no program without a code tool', '<|python_start|>print(1)<|python_end|>', 'print(1)', []],
];

describe('tool calls in answers', () => {
  it.each(ANSWERS)('%s', (_form, answer, text, calls) => {
    expect(parse([answer])).toEqual({ text, calls });
  });

  it('finds the same however the answer is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ANSWERS.map(([, answer]) => answer)),
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 }),
        (answer, lengths) => {
          const pieces: string[] = [];
          let at = 0;
          for (let i = 0; at < answer.length; i++) {
            const length = lengths[i % lengths.length]!;
            pieces.push(answer.slice(at, at + length));
            at += length;
          }
          expect(parse(pieces)).toEqual(parse([answer]));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('loses no text that holds no call', () => {
    const parts = fc.constantFrom(
      '{',
      '[',
      '"name"',
      ': ',
      '<function',
      '=',
      'add',
      '(',
      ' ',
      ']',
      '<|py',
      'brave_search',
      '.call',
      'x',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 30 }), (pieces) => {
        const { text, calls } = parse(pieces);
        if (calls.length === 0) expect(text).toBe(pieces.join(''));
      }),
      { numRuns: 400 },
    );
  });

  it('streams arguments of JSON calls as they come', () => {
    const parser = new ToolCallParser(TOOLS);
    expect(parser.push('{"name": "get_weather", "parameters": {"ci')).toEqual([
      { type: 'call', index: 0, name: 'get_weather' },
      { type: 'arguments', index: 0, text: '{"ci' },
    ]);
    expect(parser.push('ty": "Os')).toEqual([{ type: 'arguments', index: 0, text: 'ty": "Os' }]);
    expect(parser.push('lo"}}')).toEqual([{ type: 'arguments', index: 0, text: 'lo"}' }]);
    expect(parser.end()).toEqual([]);
  });

  it('holds back only what may become a call', () => {
    const parser = new ToolCallParser(TOOLS);
    expect(parser.push('see {"na')).toEqual([{ type: 'text', text: 'see' }]);
    expect(parser.push('il": 1}')).toEqual([{ type: 'text', text: ' {"nail": 1}' }]);
  });

  it('gives programs between python tags to a code tool', () => {
    const program = 'import math\nprint([math.pi])';
    const call = { name: 'code_interpreter', arguments: { code: program } };
    expect(parse([`<|python_start|>${program}<|python_end|>`], WITH_CODE)).toEqual({
      text: '',
      calls: [call],
    });
    expect(parse([`<|python_start|>${program}`], WITH_CODE)).toEqual({ text: '', calls: [call] });
    const tagged = '<|python_start|>{"name":"add","parameters":{"a":1,"b":2}}<|python_end|>';
    expect(parse([tagged], WITH_CODE).calls).toEqual([add(1, 2)]);
  });

  it('gives up on values nested without end', () => {
    const deep = `[add(a=${'['.repeat(10_000)}`;
    expect(parse([deep])).toEqual({ text: deep, calls: [] });
  });
});
