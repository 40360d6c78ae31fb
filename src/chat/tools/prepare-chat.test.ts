import { describe, expect, it } from 'vitest';
import type { Chat, ChatMessage } from '../messages.js';
import { ChatTemplate } from '../template.js';
import { prepareChat } from './prepare-chat.js';
import { templateTraits } from './template-traits.js';

/** A template with every habit of Llama 4's own that has to be worked around. */
const HABITS = `{%- if tools_in_user_message is not defined %}{% set tools_in_user_message = true %}{% endif -%}
{%- set system = none -%}
{%- if messages[0].role == 'system' -%}
  {%- set system = messages[0].content if messages[0].content is string else messages[0].content[0].text -%}
  {%- set messages = messages[1:] -%}
  {{- '[system ' -}}{%- if tools and not tools_in_user_message -%}{{- tools | tojson -}}{%- endif -%}{{- system + ']' -}}
{%- endif -%}
{%- if tools and tools_in_user_message -%}
  {{- '[user ' + (tools | tojson) + (messages[0].content | trim) + ']' -}}
  {%- set messages = messages[1:] -%}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}
    {{- '[tool ' -}}{%- if message.content is iterable or message.content is mapping -%}{{- message.content | tojson -}}{%- else -%}{{- message.content -}}{%- endif -%}{{- ']' -}}
  {%- elif 'tool_calls' not in message -%}
    {{- '[' + message.role + ' ' -}}
    {%- if message.content is string -%}{{- message.content -}}
    {%- else -%}{%- for part in message.content -%}{{- part.text if part.type == 'text' else '<image>' -}}{%- endfor -%}{%- endif -%}
    {{- ']' -}}
  {%- elif message.tool_calls | length > 0 -%}
    {{- '[call ' + message.content -}}
    {%- for call in message.tool_calls -%}{{- call.function.name + (call.function.arguments | tojson) -}}{%- endfor -%}
    {{- ']' -}}
  {%- endif -%}
{%- endfor -%}`;

/** A template that joins parts and prints arguments and results as they are. */
const PLAIN = `{%- for message in messages -%}
  {{- '[' + message.role + ' ' -}}
  {%- if message.content is string -%}{{- message.content -}}{%- else -%}{%- for part in message.content -%}{{- part.text -}}{%- endfor -%}{%- endif -%}
  {%- for call in message.tool_calls or [] -%}{{- call.function.name + call.function.arguments -}}{%- endfor -%}
  {{- ']' -}}
{%- endfor -%}`;

const TOOLS = [{ type: 'function', function: { name: 'f' } }];
const TOOLS_TEXT = '[{"type": "function", "function": {"name": "f"}}]';
const text = (value: string) => ({ type: 'text' as const, text: value });
const picture = { type: 'image' } as never;

function rendered(source: string, messages: readonly ChatMessage[], tools: Chat['tools'] = []): string {
  const template = new ChatTemplate(source);
  const chat = { messages, ...(tools.length > 0 && { tools }) };
  return template.render(prepareChat(chat, templateTraits(template)));
}

describe('chats for templates with habits', () => {
  it('keeps answers with an empty list of calls', () => {
    expect(rendered(HABITS, [{ role: 'assistant', content: 'hi', tool_calls: [] }])).toBe('[assistant hi]');
    expect(rendered(HABITS, [{ role: 'assistant', content: null, tool_calls: [] }])).toBe('[assistant ]');
  });

  it('quotes tool results once', () => {
    const result = (content: ChatMessage['content']) => rendered(HABITS, [{ role: 'tool', content }]);
    expect(result('{"t": "20°"}')).toBe('[tool {"t": "20°"}]');
    expect(result('sunny')).toBe('[tool "sunny"]');
    expect(result('null')).toBe('[tool "null"]');
    expect(result([text('{"a":'), text('[1]}')])).toBe('[tool {"a": [1]}]');
  });

  it('gives arguments as objects', () => {
    const calls = (given: string) => [
      { type: 'function' as const, function: { name: 'f', arguments: given } },
    ];
    const call = (given: string) =>
      rendered(HABITS, [{ role: 'assistant', content: null, tool_calls: calls(given) }]);
    expect(call('{"a":1}')).toBe('[call f{"a": 1}]');
    expect(call('')).toBe('[call f{}]');
    expect(call('{broken')).toBe('[call f"{broken"]');
  });

  it('prints all of a system message', () => {
    expect(rendered(HABITS, [{ role: 'system', content: [text('a'), text('b')] }])).toBe('[system ab]');
  });

  it('joins the parts of the first message with tools', () => {
    const user: ChatMessage = { role: 'user', content: [text('a'), text('b')] };
    expect(rendered(HABITS, [user], TOOLS)).toBe(`[user ${TOOLS_TEXT}ab]`);
    expect(rendered(HABITS, [user])).toBe('[user ab]');
  });

  it('moves tools out of a first message with pictures', () => {
    const user: ChatMessage = { role: 'user', content: [picture, text('what?')] };
    expect(rendered(HABITS, [user], TOOLS)).toBe(`[system ${TOOLS_TEXT}][user <image>what?]`);
    const system: ChatMessage = { role: 'system', content: 's' };
    expect(rendered(HABITS, [system, user], TOOLS)).toBe(`[system ${TOOLS_TEXT}s][user <image>what?]`);
  });
});

describe('chats for templates without', () => {
  it('leaves results and arguments as they are', () => {
    const messages: ChatMessage[] = [
      { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{"a":1}' } }] },
      { role: 'tool', content: '{"t":1}' },
    ];
    expect(rendered(PLAIN, messages, TOOLS)).toBe('[assistant f{"a":1}][tool {"t":1}]');
  });
});
