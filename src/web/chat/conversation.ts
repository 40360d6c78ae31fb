import type { Message } from './messages.js';

/**
 * A chat with all its versions: messages form a tree, as a message that is edited or answered anew keeps what it
 * replaces beside it. `leaf` is the end of the path that is shown.
 */
export interface Conversation {
  readonly id: string;
  /** Empty until there is a first message or somebody names it. */
  readonly title: string;
  /** Milliseconds since 1970 of the last change to its messages. */
  readonly updated: number;
  readonly messages: readonly Message[];
  readonly leaf: string | null;
}

const TITLE_CHARACTERS = 60;

export function newConversation(id: string, now: number): Conversation {
  return { id, title: '', updated: now, messages: [], leaf: null };
}

/** The messages that are shown, first to last. */
export function shownPath(conversation: Conversation): Message[] {
  const byId = new Map(conversation.messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  for (let id = conversation.leaf; id !== null; ) {
    const message = byId.get(id);
    if (message === undefined) break;
    path.push(message);
    id = message.parent;
  }
  return path.reverse();
}

/** Adds a message and shows it. The first text names the chat. */
export function addMessage(conversation: Conversation, message: Message, now: number): Conversation {
  const title = conversation.title || (message.role === 'user' ? titleFrom(message.text) : '');
  const messages = [...conversation.messages, message];
  return { ...conversation, title, messages, leaf: message.id, updated: now };
}

export function changeMessage<T extends Message>(
  conversation: Conversation,
  id: string,
  change: (message: T) => Message,
): Conversation {
  const messages = conversation.messages.map((message) =>
    message.id === id ? change(message as T) : message,
  );
  return { ...conversation, messages };
}

/** Takes a message and all that follows it away, in every version; what it followed is shown. */
export function removeMessage(conversation: Conversation, id: string): Conversation {
  const removed = new Set([id]);
  for (const message of conversation.messages) {
    if (message.parent !== null && removed.has(message.parent)) removed.add(message.id);
  }
  const gone = conversation.messages.find((message) => message.id === id);
  const messages = conversation.messages.filter((message) => !removed.has(message.id));
  const { leaf } = conversation;
  return {
    ...conversation,
    messages,
    leaf: leaf !== null && removed.has(leaf) ? (gone?.parent ?? null) : leaf,
  };
}

/** Ids of the versions of a message, itself among them, oldest first. */
export function versions(conversation: Conversation, { parent, role }: Message): string[] {
  return conversation.messages
    .filter((other) => other.parent === parent && other.role === role)
    .map(({ id }) => id);
}

/** Shows the version `id`, with what last followed it. */
export function showVersion(conversation: Conversation, id: string): Conversation {
  let leaf = id;
  for (;;) {
    const next = conversation.messages.findLast((message) => message.parent === leaf);
    if (next === undefined) return { ...conversation, leaf };
    leaf = next.id;
  }
}

/** A conversation as it is when nothing writes it: answers that were cut off by the page's end count as stopped. */
export function settled(conversation: Conversation): Conversation {
  const messages = conversation.messages.map((message) =>
    message.role === 'assistant' && message.end === undefined
      ? { ...message, end: 'stopped' as const }
      : message,
  );
  return { ...conversation, messages };
}

/** Whether every word of `query` occurs in the title or the messages. */
export function matches(conversation: Conversation, query: string): boolean {
  const text = [conversation.title, ...conversation.messages.map((message) => message.text)]
    .join('\n')
    .toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function titleFrom(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const characters = [...line];
  return characters.length <= TITLE_CHARACTERS
    ? line
    : `${characters.slice(0, TITLE_CHARACTERS - 1).join('')}…`;
}
