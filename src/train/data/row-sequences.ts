import {
  type Chat,
  type ChatFormat,
  type ChatMessage,
  IMAGE_TOKEN,
  type ImagePart,
  type PromptImage,
  type TextPart,
} from '../../chat/index.js';
import type { Tokenizer } from '../../model/tokenizer/index.js';
import { type TaggedPart, tagAnswers } from './answer-spans.js';
import type { PictureSource, RowChat, RowCompletion, RowMessage, RowText } from './data-row.js';
import { asRowFault, RowFault } from './row-fault.js';
import { type Sequence, SequenceBuilder, withoutTail } from './sequence.js';

/** What documents end with in Llama 4's pretraining, and so completions of plain text, too. */
const END_OF_TEXT = '<|end_of_text|>';

export interface SequenceOptions {
  readonly tokenizer: Tokenizer;
  readonly format: ChatFormat;
  readonly responsesOnly: boolean;
}

/**
 * A chat as sequences: one, unless the template changes what it has said (see `tagAnswers`).
 * Throws RowFault, and what `picture` throws.
 *
 * @param picture tokens of a picture; negative ids are rows of the example
 */
export async function chatSequences(
  row: RowChat,
  { tokenizer, format, responsesOnly }: SequenceOptions,
  picture: (source: PictureSource) => Promise<PromptImage>,
): Promise<Sequence[]> {
  const messages: ChatMessage[] = [];
  for (const message of row.messages) messages.push(await chatMessage(message, picture));
  const chat: Chat = { messages, ...(row.tools && { tools: row.tools }) };
  const answers = row.messages.flatMap(({ learnt }, i) => (learnt ? [i] : []));
  if (answers.length === 0) throw new RowFault('expected a message of the assistant to learn, found none');
  const stops = new Set(tokenizer.stopIds.map((id) => tokenizer.tokenText(id)));
  const layouts = layOut(() => tagAnswers(format, chat, answers, (token) => stops.has(token)));
  return layouts.map(({ parts, messages: count }) =>
    encodeParts(parts, messages.slice(0, count).flatMap(imagesOf), tokenizer, responsesOnly),
  );
}

/** A template that refuses a chat, or fails on it, does so because of that chat. */
function layOut<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asRowFault(error);
  }
}

/** A prompt and its completion. */
export function completionSequence(
  { prompt, completion }: RowCompletion,
  { tokenizer, responsesOnly }: SequenceOptions,
): Sequence {
  const sequence = new SequenceBuilder();
  if (tokenizer.bosId !== undefined) sequence.push(tokenizer.bosId, false);
  sequence.pushAll(tokenizer.encode(prompt), !responsesOnly);
  sequence.pushAll(tokenizer.encode(completion), true);
  sequence.pushAll(endOfText(tokenizer), true);
  return sequence.build();
}

/**
 * Text in windows of at most `size` tokens, each of which begins with BOS, as the windows perplexity is measured
 * over; every token of the text is predicted in exactly one of them.
 */
export function textSequences(
  { text, ends }: RowText,
  { tokenizer }: SequenceOptions,
  size: number,
): Sequence[] {
  const ids = tokenizer.encode(text);
  if (ends) ids.push(...endOfText(tokenizer));
  const bos = tokenizer.bosId === undefined ? [] : [tokenizer.bosId];
  const step = size - bos.length;
  const windows: Sequence[] = [];
  for (let start = 0; start < ids.length; start += step) {
    const window = new SequenceBuilder();
    window.pushAll(bos, false);
    window.pushAll(ids.slice(start, start + step), true);
    if (window.length > 1) windows.push(window.build());
  }
  return windows;
}

function endOfText(tokenizer: Tokenizer): number[] {
  const id = tokenizer.tokenId(END_OF_TEXT);
  return id === undefined ? [] : [id];
}

async function chatMessage(
  { role, content, toolCalls }: RowMessage,
  picture: (source: PictureSource) => Promise<PromptImage>,
): Promise<ChatMessage> {
  const calls = toolCalls && { tool_calls: toolCalls };
  if (typeof content === 'string') return { role, content, ...calls };
  const parts: (TextPart | ImagePart)[] = [];
  for (const part of content) {
    parts.push(part.type === 'text' ? part : { type: 'image', image: await picture(part.source) });
  }
  return { role, content: parts, ...calls };
}

function imagesOf({ content }: ChatMessage): PromptImage[] {
  if (content === null || typeof content === 'string') return [];
  return content.flatMap((part) => (part.type === 'image' && part.image ? [part.image] : []));
}

function encodeParts(
  parts: readonly TaggedPart[],
  images: readonly PromptImage[],
  tokenizer: Tokenizer,
  responsesOnly: boolean,
): Sequence {
  const sequence = new SequenceBuilder();
  const { bosId } = tokenizer;
  const begins = parts[0]?.special === true && tokenizer.tokenId(parts[0].text) === bosId;
  if (bosId !== undefined && !begins) sequence.push(bosId, false);
  let places = 0;
  for (const { text, special, answer } of parts) {
    const learnt = answer || !responsesOnly;
    if (!special) sequence.pushAll(tokenizer.encode(text), learnt);
    else if (text === IMAGE_TOKEN) sequence.pushAll(images[places++]?.ids ?? [], false);
    else sequence.push(tokenizer.tokenId(text)!, learnt);
  }
  if (places !== images.length) {
    throw new RowFault(`expected a layout with a place for each picture (${images.length}), found ${places}`);
  }
  return withoutTail(sequence.build());
}
