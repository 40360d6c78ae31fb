import { readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';
import { describe, expect, it } from 'vitest';
import { LLAMA4_TEMPLATE } from './llama4-template.js';
import type { Chat } from './messages.js';
import { strftime } from './strftime.js';
import { ChatTemplate } from './template.js';

const TOKENS = { bosToken: '<|begin_of_text|>', eosToken: '<|eot|>' };
const nanoScout: string = JSON.parse(
  readFileSync(new URL('../../models/nano-scout/tokenizer_config.json', import.meta.url), 'utf8'),
).chat_template;

const CHAT: Chat = {
  messages: [
    { role: 'system', content: ' Be brief. ' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello!' },
    { role: 'user', content: [{ type: 'text', text: 'And now?' }] },
  ],
};

describe('ChatTemplate', () => {
  it.each([
    ['plain', CHAT],
    ['no generation prompt', { ...CHAT, addGenerationPrompt: false }],
    [
      'tools',
      { ...CHAT, tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] },
    ],
    [
      'tool calls',
      {
        messages: [
          { role: 'user', content: 'Weather?' },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ function: { name: 'weather', arguments: { city: 'Lima' } } }],
          },
          { role: 'tool', content: '{"celsius": 20}' },
        ],
      } satisfies Chat,
    ],
  ] as [string, Chat][])('renders %s as the library alone does', (_, chat) => {
    const expected = new Template(nanoScout).render({
      messages: chat.messages,
      tools: chat.tools ?? null,
      add_generation_prompt: chat.addGenerationPrompt ?? true,
      bos_token: TOKENS.bosToken,
      eos_token: TOKENS.eosToken,
    });
    expect(new ChatTemplate(nanoScout).render(chat, TOKENS)).toBe(expected);
  });

  it("has Llama 4's layout when the model brings none", () => {
    const prompt = new ChatTemplate(LLAMA4_TEMPLATE).render(
      { messages: [...CHAT.messages, { role: 'tool', content: '42' }] },
      TOKENS,
    );
    expect(prompt).toBe(
      '<|begin_of_text|><|header_start|>system<|header_end|>\n\n Be brief. <|eot|>' +
        '<|header_start|>user<|header_end|>\n\nHi<|eot|>' +
        '<|header_start|>assistant<|header_end|>\n\nHello!<|eot|>' +
        '<|header_start|>user<|header_end|>\n\nAnd now?<|eot|>' +
        '<|header_start|>ipython<|header_end|>\n\n42<|eot|>' +
        '<|header_start|>assistant<|header_end|>\n\n',
    );
  });

  it('offers the functions and variables of transformers', () => {
    const source =
      '{{ strftime_now("%d %B %Y") }} {{ range(1, 4) | list | length }} {{ tools is none }} {{ date_string }}';
    const chat = { messages: [], variables: { date_string: '1 Jan' } };
    expect(new ChatTemplate(source).render(chat, {}, new Date(2026, 4, 6))).toBe(
      '06 May 2026 3 True 1 Jan'.replace('True', 'true'),
    );
  });

  it('passes on what the template has against the messages', () => {
    const template = new ChatTemplate("{{ raise_exception('roles must alternate') }}");
    expect(() => template.render(CHAT)).toThrow(
      expect.objectContaining({
        code: 'chat-template-refused',
        message: expect.stringMatching(/roles must alternate/),
      }),
    );
  });

  it.each([
    ['a syntax error', '{% if %}'],
    ['an unclosed block', '{% for m in messages %}'],
    ['too long a source', ' '.repeat(300_000)],
    ['nesting beyond any stack', `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`],
  ])('refuses %s', (_, source) => {
    expect(() => new ChatTemplate(source)).toThrow(expect.objectContaining({ code: 'bad-chat-template' }));
  });

  it.each([
    [
      'an endless loop',
      '{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}',
    ],
    ['empty loops', '{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}'],
    ['a huge range', '{{ range(10 ** 12) | length }}'],
    [
      'a text that doubles',
      '{% set n = namespace(s="ab") %}{% for a in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}',
    ],
    [
      'a list that doubles',
      '{% set n = namespace(s=[1,2]) %}{% for a in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}',
    ],
    ['endless recursion', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}'],
    ['an unknown function', '{{ nothing_here() }}'],
    ['a huge indent', '{{ "a\nb" | indent(10 ** 15) }}'],
  ])('stops %s', (_, source) => {
    expect(() => new ChatTemplate(source).render(CHAT)).toThrow(
      expect.objectContaining({ code: 'bad-chat-template' }),
    );
  });

  it('shows a template nothing of the host', () => {
    for (const name of ['process', 'globalThis', 'require', 'messages.constructor', 'bos_token.__proto__']) {
      expect(new ChatTemplate(`{{ ${name} is defined }}`).render(CHAT, TOKENS)).toBe('false');
    }
  });
});

describe('strftime', () => {
  it('writes the directives of Python', () => {
    const date = new Date(2026, 0, 5, 15, 7, 9);
    expect(strftime(date, '%Y-%m-%d %H:%M:%S %I%p %a %A %b %-d %% %q')).toBe(
      '2026-01-05 15:07:09 03PM Mon Monday Jan 5 % %q',
    );
  });
});
