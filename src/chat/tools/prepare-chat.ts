import type { Chat, ChatMessage, ToolCall } from '../messages.js';
import type { TemplateTraits } from './template-traits.js';

type Content = ChatMessage['content'];

/**
 * The chat as a template prints it well. What Llama 4's own template gets wrong is put into a form it gets right:
 *
 * - an empty `tool_calls` makes it drop the message: removed
 * - tool results are printed with `tojson`, so JSON in a text would be quoted a second time: parsed first
 * - arguments likewise, which OpenAI's API sends as a text
 * - only the first part of a system message is printed: its texts are joined
 * - with tools, the parts of the first user message are printed as a Python list: texts are joined; with pictures
 *   among them the tools go to the system message instead, which has to exist for that
 */
export function prepareChat(chat: Chat, traits: TemplateTraits): Chat {
  const messages = chat.messages.map((message) => prepareMessage(message, traits));
  if (!chat.tools?.length || !traits.garblesParts) return { ...chat, messages };
  const hasSystem = messages[0]?.role === 'system';
  const first = messages[hasSystem ? 1 : 0];
  if (first === undefined || typeof first.content === 'string' || first.content === null) {
    return { ...chat, messages };
  }
  if (first.content.every(({ type }) => type === 'text')) {
    messages[hasSystem ? 1 : 0] = { ...first, content: joinTexts(first.content) };
    return { ...chat, messages };
  }
  const system: ChatMessage[] = hasSystem ? [] : [{ role: 'system', content: '' }];
  return {
    ...chat,
    messages: [...system, ...messages],
    variables: { ...chat.variables, tools_in_user_message: false },
  };
}

function prepareMessage(message: ChatMessage, traits: TemplateTraits): ChatMessage {
  const { tool_calls: calls, ...rest } = message;
  if (message.role === 'system') return { ...message, content: joinTexts(message.content) };
  if (message.role === 'tool' || message.role === 'ipython') {
    return { ...message, content: resultContent(joinTexts(message.content), traits) };
  }
  if (calls === undefined) return message;
  const content = message.content ?? '';
  if (calls.length === 0) return { ...rest, content };
  return { ...rest, content, tool_calls: traits.quotesArguments ? calls.map(withArgumentObject) : calls };
}

function joinTexts(content: Content): string {
  if (typeof content === 'string') return content;
  return content?.map((part) => ('text' in part ? part.text : '')).join('') ?? '';
}

function resultContent(text: string, traits: TemplateTraits): Content {
  if (!traits.quotesResults || !traits.printsResultObjects) return text;
  const value = parsed(text);
  // Templates take objects here; the type is that of the API's messages.
  return typeof value === 'object' && value !== null ? (value as Content) : text;
}

function withArgumentObject(call: ToolCall): ToolCall {
  const { arguments: given, name } = call.function;
  if (typeof given !== 'string') return call;
  const value = given.trim() === '' ? {} : parsed(given);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return call;
  return { ...call, function: { name, arguments: value as Record<string, unknown> } };
}

/** What a JSON text says; undefined when it is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
