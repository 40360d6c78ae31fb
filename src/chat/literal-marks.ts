import { CriaError } from '../base/errors.js';
import type { Chat, ChatMessage } from './messages.js';
import type { Range } from './special-tokens.js';

const PRIVATE_USE = { first: 0xe000, last: 0xf8ff };

/**
 * A pair of private-use characters put around text that people wrote, so that it can be told from the template's
 * own text after rendering. They go inside surrounding white space, because templates trim.
 */
export class LiteralMarks {
  readonly #open: string;
  readonly #close: string;

  /** Picks two characters that occur nowhere in `texts`. */
  constructor(texts: Iterable<string>) {
    const taken = new Set<string>();
    for (const text of texts) {
      for (const [char] of text.matchAll(/[\ue000-\uf8ff]/g)) taken.add(char);
    }
    const free: string[] = [];
    for (let code = PRIVATE_USE.first; code <= PRIVATE_USE.last && free.length < 2; code++) {
      const char = String.fromCharCode(code);
      if (!taken.has(char)) free.push(char);
    }
    const [open, close] = free;
    if (open === undefined || close === undefined) {
      throw new CriaError(
        'unsupported',
        'too-many-private-characters',
        'messages that spell special tokens and use all private-use characters cannot be told from the template',
      );
    }
    this.#open = open;
    this.#close = close;
  }

  /** The chat with all message text marked, and within tools and tool calls the strings that `suspect` picks. */
  mark(chat: Chat, suspect: (text: string) => boolean): Chat {
    const wrapSuspect = (text: string) => (suspect(text) ? this.#wrap(text) : text);
    const markMessage = (message: ChatMessage): ChatMessage => ({
      ...message,
      content: this.#wrapContent(message.content),
      ...(message.tool_calls && { tool_calls: mapStrings(message.tool_calls, wrapSuspect) }),
    });
    return {
      ...chat,
      messages: chat.messages.map(markMessage),
      ...(chat.tools && { tools: mapStrings(chat.tools, wrapSuspect) }),
    };
  }

  #wrapContent(content: ChatMessage['content']): ChatMessage['content'] {
    if (typeof content === 'string') return this.#wrap(content);
    return (
      content?.map((part) => (part.type === 'text' ? { ...part, text: this.#wrap(part.text) } : part)) ?? null
    );
  }

  #wrap(text: string): string {
    const core = text.trim();
    if (core === '') return text;
    const start = text.indexOf(core);
    return text.slice(0, start) + this.#open + core + this.#close + text.slice(start + core.length);
  }

  /**
   * The rendered text without marks, and where the marked text stands in it. Throws `template-cuts-messages` when
   * the template took a marked text apart, so that the two cannot be told from each other any more.
   */
  unmark(rendered: string): { text: string; literal: Range[] } {
    const literal: Range[] = [];
    let text = '';
    let openedAt: number | undefined;
    for (const piece of rendered.split(new RegExp(`([${this.#open}${this.#close}])`))) {
      if (piece === this.#open && openedAt === undefined) {
        openedAt = text.length;
      } else if (piece === this.#close && openedAt !== undefined) {
        literal.push([openedAt, text.length]);
        openedAt = undefined;
      } else if (piece === this.#open || piece === this.#close) {
        throw cutsMessages();
      } else {
        text += piece;
      }
    }
    if (openedAt !== undefined) throw cutsMessages();
    return { text, literal };
  }
}

function cutsMessages(): CriaError {
  return new CriaError(
    'unsupported',
    'template-cuts-messages',
    'a message spells a special token, and the chat template takes messages apart: expected messages without one',
  );
}

function mapStrings<T>(value: T, map: (text: string) => string): T {
  const visit = (item: unknown): unknown => {
    if (typeof item === 'string') return map(item);
    if (Array.isArray(item)) return item.map(visit);
    if (item !== null && typeof item === 'object') {
      return Object.fromEntries(Object.entries(item).map(([key, inner]) => [map(key), visit(inner)]));
    }
    return item;
  };
  return visit(value) as T;
}

/** Every string inside a value, keys included. */
export function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') {
    yield value;
  } else if (Array.isArray(value)) {
    for (const item of value) yield* stringsIn(item);
  } else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      yield key;
      yield* stringsIn(inner);
    }
  }
}
