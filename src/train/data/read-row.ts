import { quote } from '../../base/text.js';
import type { DataRow, PictureSource, RowChat, RowCompletion, RowMessage, RowPair } from './data-row.js';
import { pictureSource, readMessages } from './read-messages.js';
import { RowFault } from './row-fault.js';
import { type Fields, given, listAt, objectAt, someTextAt, structureAt, textAt } from './row-fields.js';
import type { DataMethod } from './types.js';

export interface RowOptions {
  readonly method: DataMethod;
  /** Prompts and answers that are strings are turns of a chat. */
  readonly promptsAsChat: boolean;
}

/** Names of columns that some form of row uses; others need not be read. */
export const ROW_FIELDS: readonly string[] = [
  'messages',
  'conversations',
  'prompt',
  'completion',
  'chosen',
  'rejected',
  'instruction',
  'input',
  'output',
  'text',
  'system',
  'tools',
  'images',
];

/** What a row says: see docs/training-data.md for the forms it may have. Throws RowFault. */
export function readRow(value: unknown, options: RowOptions): DataRow {
  const fields = objectAt(value, 'the row');
  const has = (name: string) => given(fields, name) !== undefined;
  if (options.method === 'dpo') {
    if (has('chosen') && has('rejected')) return readPair(fields, options);
    throw new RowFault(`expected chosen and rejected, found ${fieldNames(fields)}`);
  }
  if (has('messages'))
    return chat(fields, readMessages(given(fields, 'messages'), 'messages', pictures(fields)));
  if (has('conversations')) {
    return chat(fields, readMessages(given(fields, 'conversations'), 'conversations', pictures(fields)));
  }
  if (has('prompt') && has('completion')) return readAnswer(fields, 'completion', options);
  if (has('instruction') && has('output')) return readInstruction(fields);
  if (has('text')) return { kind: 'text', text: someTextAt(given(fields, 'text'), 'text'), ends: true };
  if (has('chosen') && has('rejected')) {
    throw new RowFault('found a pair, chosen and rejected, which only preference training (dpo) learns from');
  }
  throw new RowFault(
    `expected messages, conversations, prompt and completion, instruction and output, or text, found ${fieldNames(fields)}`,
  );
}

function fieldNames(fields: Fields): string {
  const names = Object.keys(fields).filter((name) => given(fields, name) !== undefined);
  if (names.length === 0) return 'no fields';
  const shown = names.slice(0, 6).map((name) => quote(name, 24));
  return `${shown.join(', ')}${names.length > 6 ? ` and ${names.length - 6} more` : ''}`;
}

/** Stanford Alpaca's form; an input that is not empty follows the instruction on a line of its own. */
function readInstruction(fields: Fields): RowChat {
  const input = textAt(given(fields, 'input') ?? '', 'input');
  const instruction = someTextAt(given(fields, 'instruction'), 'instruction');
  const question = input.trim() === '' ? instruction : `${instruction}\n${input}`;
  return chat(fields, [
    turn('user', question),
    turn('assistant', someTextAt(given(fields, 'output'), 'output')),
  ]);
}

function readPair(fields: Fields, options: RowOptions): RowPair {
  const chosen = readAnswer(fields, 'chosen', options);
  const rejected = readAnswer(fields, 'rejected', options);
  if (chosen.kind !== rejected.kind) {
    throw new RowFault('expected chosen and rejected to be both strings or both messages');
  }
  if (chosen.kind === 'completion' || rejected.kind === 'completion')
    return { kind: 'pair', chosen, rejected };
  // Without a prompt of its own a pair begins with the same messages, which are the prompt.
  const differs = chosen.messages.findIndex((message, i) => !sameMessage(message, rejected.messages[i]));
  if (differs < 0) throw new RowFault('expected chosen and rejected to differ');
  return { kind: 'pair', chosen: learntFrom(chosen, differs), rejected: learntFrom(rejected, differs) };
}

/** A prompt and one answer to it: strings, messages, or one of each. */
function readAnswer(fields: Fields, name: string, options: RowOptions): RowChat | RowCompletion {
  const prompt = given(fields, 'prompt');
  const answer = given(fields, name);
  const list = pictures(fields);
  if (typeof answer === 'string' && typeof prompt === 'string' && !options.promptsAsChat) {
    return { kind: 'completion', prompt, completion: someTextAt(answer, name) };
  }
  if (prompt === undefined && typeof answer === 'string') {
    throw new RowFault(`expected a prompt to ${name}, found none`);
  }
  const asked = typeof prompt === 'string' ? [turn('user', prompt)] : undefined;
  const before = asked ?? (prompt === undefined ? [] : readMessages(prompt, 'prompt', list));
  const answers =
    typeof answer === 'string'
      ? [turn('assistant', someTextAt(answer, name))]
      : readMessages(answer, name, list);
  // Some data sets repeat the prompt, as messages, before the answer.
  const whole = asked !== undefined && answers[0]!.role !== 'assistant' && answers[0]!.role !== 'tool';
  if (whole) return chat(fields, answers);
  const all = chat(fields, [...before, ...answers]);
  return learntFrom(all, all.messages.length - answers.length);
}

function turn(role: 'user' | 'assistant', content: string): RowMessage {
  return { role, content, learnt: role === 'assistant' };
}

function chat(fields: Fields, messages: readonly RowMessage[]): RowChat {
  const system = given(fields, 'system');
  const first: RowMessage[] = [];
  if (system !== undefined && messages[0]?.role !== 'system') {
    const content = textAt(system, 'system');
    if (content.trim() !== '') first.push({ role: 'system', content, learnt: false });
  }
  const tools = given(fields, 'tools');
  const list = tools === undefined || tools === '' ? [] : listAt(structureAt(tools, 'tools'), 'tools');
  return {
    kind: 'chat',
    messages: [...first, ...messages],
    ...(list.length > 0 && { tools: list.map((tool, i) => objectAt(tool, `tools[${i}]`)) }),
  };
}

function learntFrom(chat: RowChat, start: number): RowChat {
  return {
    ...chat,
    messages: chat.messages.map((message, i) => ({ ...message, learnt: message.learnt && i >= start })),
  };
}

function sameMessage(a: RowMessage, b: RowMessage | undefined): boolean {
  return b !== undefined && JSON.stringify(a) === JSON.stringify(b);
}

function* pictures(fields: Fields): Generator<PictureSource, undefined> {
  const images = given(fields, 'images');
  if (images === undefined) return undefined;
  for (const [i, image] of listAt(images, 'images').entries()) yield pictureSource(image, `images[${i}]`);
  return undefined;
}
