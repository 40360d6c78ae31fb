import { quote } from '../../base/text.js';
import type { ToolCall } from '../../chat/index.js';
import type { PictureSource, RowMessage, RowPart } from './data-row.js';
import { RowFault } from './row-fault.js';
import { type Fields, given, listAt, objectAt, structureAt, textAt } from './row-fields.js';

const ROLES: Readonly<Record<string, RowMessage['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
  ipython: 'tool',
};

/** Who speaks in ShareGPT's form (`from`), in the spellings found on the Hub. */
const SPEAKERS: Readonly<Record<string, RowMessage['role']>> = {
  ...ROLES,
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  function_response: 'tool',
  observation: 'tool',
};

/** Pictures of a row that stand in a list of their own (`images`), to be taken in order by parts without one. */
export type PictureList = Iterator<PictureSource, undefined>;

/** Messages in OpenAI's form (`role`, `content`, `tool_calls`) or ShareGPT's (`from`, `value`). Throws RowFault. */
export function readMessages(value: unknown, where: string, pictures: PictureList): RowMessage[] {
  const messages = listAt(value, where).map((item, i) => {
    const at = `${where}[${i}]`;
    const fields = objectAt(item, at);
    return given(fields, 'from') === undefined
      ? readMessage(fields, at, pictures)
      : readSpoken(fields, at, pictures);
  });
  if (messages.length === 0) throw new RowFault(`expected messages in ${where}, found none`);
  return messages;
}

function readMessage(fields: Fields, at: string, pictures: PictureList): RowMessage {
  const role = roleOf(ROLES, given(fields, 'role'), `${at}.role`);
  const calls = role === 'assistant' ? given(fields, 'tool_calls') : undefined;
  const toolCalls = calls === undefined ? [] : listAt(calls, `${at}.tool_calls`);
  const content = given(fields, 'content');
  const weight = given(fields, 'weight') ?? 1;
  if (weight !== 0 && weight !== 1) throw new RowFault(`expected ${at}.weight to be 0 or 1`);
  return {
    role,
    content:
      content === undefined && toolCalls.length > 0 ? '' : readContent(content, `${at}.content`, pictures),
    learnt: role === 'assistant' && weight === 1,
    ...(toolCalls.length > 0 && {
      toolCalls: toolCalls.map((call, i) => readCall(call, `${at}.tool_calls[${i}]`)),
    }),
  };
}

function readSpoken(fields: Fields, at: string, pictures: PictureList): RowMessage {
  const speaker = given(fields, 'from');
  const role = roleOf(SPEAKERS, speaker, `${at}.from`);
  const text = textAt(given(fields, 'value'), `${at}.value`);
  if (speaker === 'function_call') {
    const calls = structureAt(text, `${at}.value`);
    const toolCalls = (Array.isArray(calls) ? calls : [calls]).map((call) => readCall(call, `${at}.value`));
    return { role, content: '', toolCalls, learnt: true };
  }
  return { role, content: placePictures(text, pictures), learnt: role === 'assistant' };
}

/** ShareGPT's rows with pictures have `<image>` in the text where one of the list `images` stands. */
function placePictures(text: string, pictures: PictureList): RowMessage['content'] {
  const parts: RowPart[] = [];
  let plain = '';
  for (const piece of text.split(/(<image>\n?)/)) {
    const source = piece.startsWith('<image>') ? pictures.next().value : undefined;
    if (source === undefined) {
      plain += piece;
      continue;
    }
    if (plain !== '') parts.push({ type: 'text', text: plain });
    plain = '';
    parts.push({ type: 'image', source });
  }
  if (parts.length === 0) return text;
  return plain === '' ? parts : [...parts, { type: 'text', text: plain }];
}

function roleOf(roles: Readonly<Record<string, RowMessage['role']>>, value: unknown, where: string) {
  const name = textAt(value, where);
  const role = Object.hasOwn(roles, name) ? roles[name] : undefined;
  if (role) return role;
  throw new RowFault(`expected ${where} to be one of ${Object.keys(roles).join(', ')}, found ${quote(name)}`);
}

function readContent(value: unknown, where: string, pictures: PictureList): RowMessage['content'] {
  if (!Array.isArray(value)) return textAt(value, where);
  return value.map((item, i) => readPart(objectAt(item, `${where}[${i}]`), `${where}[${i}]`, pictures));
}

function readPart(fields: Fields, at: string, pictures: PictureList): RowPart {
  const type = textAt(given(fields, 'type'), `${at}.type`);
  if (type === 'text') return { type, text: textAt(given(fields, 'text'), `${at}.text`) };
  if (type !== 'image' && type !== 'image_url') {
    throw new RowFault(`expected ${at}.type to be text, image or image_url, found ${quote(type)}`);
  }
  const named = ['image', 'path', 'url', 'image_url'].map((name) => given(fields, name));
  const source = named.find((value) => value !== undefined);
  if (source !== undefined) return { type: 'image', source: pictureSource(source, at) };
  const next = pictures.next().value;
  if (next === undefined)
    throw new RowFault(`expected a picture for ${at}, found neither a path nor one in images`);
  return { type: 'image', source: next };
}

/** A path or data: URL, `{ "url": … }`, or `{ "bytes", "path" }` as datasets of pictures hold them in Parquet. */
export function pictureSource(value: unknown, where: string): PictureSource {
  if (typeof value === 'string' || value instanceof Uint8Array) return value;
  const fields = objectAt(value, where);
  const bytes = given(fields, 'bytes');
  if (bytes instanceof Uint8Array) return bytes;
  return textAt(given(fields, 'url') ?? given(fields, 'path'), where);
}

function readCall(value: unknown, where: string): ToolCall {
  const outer = objectAt(value, where);
  const fields = objectAt(given(outer, 'function') ?? outer, where);
  const callArguments = given(fields, 'arguments') ?? given(fields, 'parameters') ?? {};
  return {
    type: 'function',
    function: {
      name: textAt(given(fields, 'name'), `${where}.name`),
      arguments:
        typeof callArguments === 'string' ? callArguments : objectAt(callArguments, `${where}.arguments`),
    },
  };
}
