import type { ChatMessage } from '../messages.js';
import type { ChatTemplate } from '../template.js';

/** Where templates with tools differ, as seen from what they print. */
export interface TemplateTraits {
  /** Prints tool results through `tojson`, which puts a text in quotes. */
  readonly quotesResults: boolean;
  /** Prints tool results that are objects as JSON. */
  readonly printsResultObjects: boolean;
  /** With tools, fails on a first user message made of parts, or prints it as a list in Python's notation. */
  readonly garblesParts: boolean;
  /** Prints arguments of calls through `tojson`, so that they have to be objects. */
  readonly quotesArguments: boolean;
}

const TOOL = {
  type: 'function',
  function: { name: 'probe', description: 'probe', parameters: { type: 'object', properties: {} } },
};
const WORD = 'criaprobe';

/**
 * Finds out how a template lays out tools by rendering small chats with it. What it refuses to render counts as not
 * having the trait.
 */
export function templateTraits(template: ChatTemplate): TemplateTraits {
  const print = (messages: readonly unknown[]): string => {
    try {
      return template.render({ messages: messages as ChatMessage[], tools: [TOOL] });
    } catch {
      return '';
    }
  };
  const user = { role: 'user', content: 'x' };
  const call = (callArguments: unknown) => ({
    role: 'assistant',
    content: '',
    tool_calls: [{ type: 'function', function: { name: 'probe', arguments: callArguments } }],
  });
  const result = (content: unknown) => print([user, call({}), { role: 'tool', content }]);
  const asText = print([{ role: 'user', content: WORD }]);
  const asParts = print([{ role: 'user', content: [{ type: 'text', text: WORD }] }]);
  return {
    quotesResults: result(WORD).includes(`"${WORD}"`),
    printsResultObjects: /"criaprobe": ?"criaprobe"/.test(result({ [WORD]: WORD })),
    garblesParts: asText !== asParts,
    quotesArguments: print([user, call(`{"${WORD}": 1}`)]).includes(`\\"${WORD}`),
  };
}
