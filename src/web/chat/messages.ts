import type { Failure } from './failure.js';

/** A picture as it is sent (`url`) and as it is shown in the chat (`preview`), both as data: URLs. */
export interface Picture {
  readonly name: string;
  readonly url: string;
  readonly preview: string;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON as the model wrote it. */
  readonly arguments: string;
}

export interface AnswerStats {
  readonly promptTokens: number;
  /** Of `promptTokens`, those that were in the cache. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  /** From the request to the first text. */
  readonly waitSeconds: number;
  /** Absent for answers of one token. */
  readonly tokensPerSecond?: number;
}

interface Placed {
  readonly id: string;
  /** The message it follows; null for the first. */
  readonly parent: string | null;
}

export interface UserMessage extends Placed {
  readonly role: 'user';
  readonly text: string;
  readonly pictures: readonly Picture[];
}

/** How an answer ended; absent while it is being written. */
export type AnswerEnd = 'stop' | 'length' | 'tool_calls' | 'stopped' | 'failed';

export interface AssistantMessage extends Placed {
  readonly role: 'assistant';
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly end?: AnswerEnd;
  readonly failure?: Failure;
  readonly stats?: AnswerStats;
}

/** What a called function gave. */
export interface ToolMessage extends Placed {
  readonly role: 'tool';
  readonly callId: string;
  readonly text: string;
}

export type Message = UserMessage | AssistantMessage | ToolMessage;

type RequestMessage = Readonly<Record<string, unknown>>;

/** Messages as the chat endpoint takes them, the system prompt first. */
export function requestMessages(path: readonly Message[], system: string): RequestMessage[] {
  const first = system.trim() === '' ? [] : [{ role: 'system', content: system }];
  return [...first, ...path.map(requestMessage)];
}

function requestMessage(message: Message): RequestMessage {
  if (message.role === 'tool') {
    return { role: 'tool', tool_call_id: message.callId, content: message.text };
  }
  if (message.role === 'assistant') {
    const { text, calls } = message;
    return {
      role: 'assistant',
      content: text,
      ...(calls.length > 0 && {
        tool_calls: calls.map(({ id, name, arguments: json }) => ({
          id,
          type: 'function',
          function: { name, arguments: json },
        })),
      }),
    };
  }
  const { text, pictures } = message;
  if (pictures.length === 0) return { role: 'user', content: text };
  const parts = pictures.map(({ url }) => ({ type: 'image_url', image_url: { url } }));
  return { role: 'user', content: text === '' ? parts : [...parts, { type: 'text', text }] };
}
