import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chat, ChatFormat, type ChatMessage } from '../../chat/index.js';
import { tagAnswers } from './answer-spans.js';
import { RowFault } from './row-fault.js';
import { chatTemplate, tokenizer } from './testing/nano-scout.js';

const ends = (token: string) => token === '<|eot|>' || token === '<|eom|>';
const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

/** Layouts as text, answers in braces; and the special tokens of each answer. */
function tagged(template: string | undefined, messages: readonly ChatMessage[]) {
  const answers = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  const chat: Chat = { messages };
  return tagAnswers(new ChatFormat(tokenizer, template), chat, answers, ends).map(({ parts }) =>
    parts
      .map(({ text, answer }) => (answer ? `{${text}}` : text))
      .join('')
      .replaceAll('}{', ''),
  );
}

const TURN = `{{ '<|header_start|>' + m.role + '<|header_end|>\\n\\n' }}`;
const PROMPT = `{% if add_generation_prompt %}{{ '<|header_start|>assistant<|header_end|>\\n\\n' }}{% endif %}`;

describe.each([
  ['the built-in layout', undefined],
  ['the template of nano-scout', chatTemplate],
])('%s', (_, template) => {
  it('tags answers whatever people write', () => {
    const text = fc
      .array(
        fc.constantFrom(
          'a',
          ' ',
          '\n',
          '<|eot|>',
          '<|eom|>',
          '<|header_start|>',
          'assistant',
          '<|header_end|>\n\n',
        ),
        {
          minLength: 1,
          maxLength: 6,
        },
      )
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }), (turns) => {
        const messages = turns.flatMap(([question, answer]) => [user(question), assistant(answer)]);
        const format = new ChatFormat(tokenizer, template);
        const answers = turns.map((_, i) => 2 * i + 1);
        const [layout, ...more] = tagAnswers(format, { messages }, answers, ends);
        expect(more).toEqual([]);
        const found: string[] = [];
        let open = false;
        for (const { text, special, answer } of layout!.parts) {
          if (answer && !open) found.push('');
          if (answer) found.push(found.pop() + (special ? '§' : text));
          open = answer && !special;
        }
        expect(found).toEqual(turns.map(([, answer]) => `${answer}§`));
      }),
      { numRuns: 60 },
    );
  });
});

it('takes the special tokens within a call of a tool for part of the answer', () => {
  const calling = `{% for m in messages %}${TURN}{% if m.tool_calls %}<|python_start|>{{ m.content }}<|python_end|>{{ m.tool_calls[0].function.name }}{% else %}{{ m.content }}{% endif %}<|eot|>{% endfor %}${PROMPT}`;
  const call: ChatMessage = {
    role: 'assistant',
    content: 'a',
    tool_calls: [{ function: { name: 'f', arguments: {} } }],
  };
  expect(tagged(calling, [user('x'), call, { role: 'tool', content: '1' }, assistant('b')])).toEqual([
    expect.stringMatching(/\{<\|python_start\|>a<\|python_end\|>f<\|eot\|>\}.*\{b<\|eot\|>\}$/s),
  ]);
});

it('gives a layout for each answer where the template forgets what earlier ones said', () => {
  const forgetful = `{% for m in messages %}${TURN}{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('|')[-1] }}{% else %}{{ m.content }}{% endif %}<|eot|>{% endfor %}${PROMPT}`;
  const header = (role: string) => `<|header_start|>${role}<|header_end|>\n\n`;
  expect(tagged(forgetful, [user('a'), assistant('think|b'), user('c'), assistant('think|d')])).toEqual([
    `${header('user')}a<|eot|>${header('assistant')}{think|b<|eot|>}`,
    `${header('user')}a<|eot|>${header('assistant')}b<|eot|>${header('user')}c<|eot|>${header('assistant')}{think|d<|eot|>}`,
  ]);
});

it('refuses templates whose prompt is not how answers begin, or that end none', () => {
  const otherPrompt = `{% for m in messages %}${TURN}{{ m.content }}<|eot|>{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}`;
  const endless = `{% for m in messages %}${TURN}{{ m.content }}{% endfor %}${PROMPT}`;
  const messages = [user('a'), assistant('b')];
  expect(() => tagged(otherPrompt, messages)).toThrow(RowFault);
  expect(() => tagged(endless, messages)).toThrow(RowFault);
});
