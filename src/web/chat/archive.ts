import type { Conversation } from './conversation.js';
import type { AssistantMessage, Message, Picture, ToolCall } from './messages.js';

/** The file that conversations are exported to. */
export interface Archive {
  readonly format: 'cria-conversations';
  readonly version: 1;
  readonly conversations: readonly Conversation[];
}

/** Why a file cannot be imported: where in it, and what was expected there. */
export class ArchiveError extends Error {}

const MAX_CONVERSATIONS = 100_000;
const MAX_MESSAGES = 100_000;
const MAX_ID = 100;
const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

export function toArchive(conversations: readonly Conversation[]): string {
  const archive: Archive = { format: 'cria-conversations', version: 1, conversations };
  return JSON.stringify(archive, null, 1);
}

/**
 * The conversations of an exported file. Files come from anywhere: only known fields of the right type are taken,
 * pictures only as data: URLs, and messages only if they form a tree. Throws ArchiveError.
 */
export function fromArchive(text: string): Conversation[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ArchiveError('expected JSON');
  }
  const archive = object(value, 'file');
  if (archive.format !== 'cria-conversations' || archive.version !== 1) {
    throw new ArchiveError("expected format 'cria-conversations', version 1");
  }
  const ids = new Set<string>();
  return array(archive.conversations, 'conversations', MAX_CONVERSATIONS).map((given, i) => {
    const conversation = readConversation(given, `conversations[${i}]`);
    if (ids.has(conversation.id)) throw wrong(`conversations[${i}].id`, 'an id of its own');
    ids.add(conversation.id);
    return conversation;
  });
}

function readConversation(value: unknown, at: string): Conversation {
  const given = object(value, at);
  const seen = new Set<string>();
  const messages = array(given.messages, `${at}.messages`, MAX_MESSAGES).map((entry, i) => {
    const message = readMessage(entry, `${at}.messages[${i}]`);
    if (seen.has(message.id)) throw wrong(`${at}.messages[${i}].id`, 'an id of its own');
    // Parents come first, which also rules out circles.
    if (message.parent !== null && !seen.has(message.parent)) {
      throw wrong(`${at}.messages[${i}].parent`, 'the id of an earlier message');
    }
    seen.add(message.id);
    return message;
  });
  const leaf = given.leaf === null ? null : identifier(given.leaf, `${at}.leaf`);
  if (leaf !== null && !seen.has(leaf)) throw wrong(`${at}.leaf`, 'the id of a message');
  const updated = number(given.updated, `${at}.updated`);
  return {
    id: identifier(given.id, `${at}.id`),
    title: string(given.title, `${at}.title`).slice(0, 500),
    updated,
    messages,
    leaf,
  };
}

function readMessage(value: unknown, at: string): Message {
  const given = object(value, at);
  const common = {
    id: identifier(given.id, `${at}.id`),
    parent: given.parent === null ? null : identifier(given.parent, `${at}.parent`),
    text: string(given.text, `${at}.text`),
  };
  switch (given.role) {
    case 'user': {
      const pictures = array(given.pictures ?? [], `${at}.pictures`, 64);
      return {
        ...common,
        role: 'user',
        pictures: pictures.map((entry, i) => readPicture(entry, `${at}.pictures[${i}]`)),
      };
    }
    case 'assistant': {
      const calls = array(given.calls ?? [], `${at}.calls`, 1000);
      return {
        ...common,
        role: 'assistant',
        calls: calls.map((entry, i) => readCall(entry, `${at}.calls[${i}]`)),
        end: readEnd(given.end, `${at}.end`),
      };
    }
    case 'tool':
      return { ...common, role: 'tool', callId: string(given.callId, `${at}.callId`) };
    default:
      throw wrong(`${at}.role`, "'user', 'assistant' or 'tool'");
  }
}

function readPicture(value: unknown, at: string): Picture {
  const given = object(value, at);
  const picture = (field: 'url' | 'preview') => {
    const url = string(given[field], `${at}.${field}`);
    if (!PICTURE.test(url)) throw wrong(`${at}.${field}`, 'a data: URL of a PNG, JPEG, WebP or GIF picture');
    return url;
  };
  return { name: string(given.name, `${at}.name`), url: picture('url'), preview: picture('preview') };
}

function readCall(value: unknown, at: string): ToolCall {
  const given = object(value, at);
  return {
    id: string(given.id, `${at}.id`),
    name: string(given.name, `${at}.name`),
    arguments: string(given.arguments, `${at}.arguments`),
  };
}

/** An answer that was being written when it was exported counts as stopped. */
function readEnd(value: unknown, at: string): NonNullable<AssistantMessage['end']> {
  const ends = ['stop', 'length', 'tool_calls', 'stopped', 'failed'] as const;
  if (value === undefined) return 'stopped';
  const end = ends.find((known) => known === value);
  if (end === undefined) throw wrong(at, ends.map((known) => `'${known}'`).join(', '));
  return end === 'failed' ? 'stopped' : end;
}

function object(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at, 'an object');
  return value as Record<string, unknown>;
}

function array(value: unknown, at: string, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) throw wrong(at, `a list of at most ${most}`);
  return value;
}

function string(value: unknown, at: string): string {
  if (typeof value !== 'string') throw wrong(at, 'a text');
  return value;
}

function number(value: unknown, at: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(at, 'a number');
  return value;
}

function identifier(value: unknown, at: string): string {
  const id = string(value, at);
  if (id === '' || id.length > MAX_ID) throw wrong(at, `1 to ${MAX_ID} characters`);
  return id;
}

function wrong(at: string, expected: string): ArchiveError {
  return new ArchiveError(`${at}: expected ${expected}`);
}
