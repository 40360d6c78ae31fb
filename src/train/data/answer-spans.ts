import type { Chat, ChatFormat } from '../../chat/index.js';
import { RowFault } from './row-fault.js';

/** A stretch of a prompt, as `ChatFormat.parts` gives it, and whether the model is to learn to say it. */
export interface TaggedPart {
  readonly text: string;
  readonly special: boolean;
  readonly answer: boolean;
}

/** A layout of the first `messages` messages of a chat. */
export interface TaggedLayout {
  readonly parts: readonly TaggedPart[];
  readonly messages: number;
}

type Part = Omit<TaggedPart, 'answer'>;

/** The place in front of the character `offset` of part `part`. */
interface Place {
  readonly part: number;
  readonly offset: number;
}

interface Span {
  readonly start: Place;
  /** Index of the special token that ends the answer, which is part of it. */
  readonly end: number;
}

/**
 * Lays a chat out and finds its answers: what begins where the template's own prompt for an answer ends, up to and
 * with the special token that ends it. So exactly what the model will have to say is learnt, and whatever users
 * write, spelled special tokens included, cannot move a border.
 *
 * The result is one layout of the whole chat. A template that shows an answer's history otherwise once later
 * messages follow (by dropping earlier reasoning, say) gives a layout for each answer, which ends with it.
 * Throws RowFault when the layout of a chat does not go on from the prompt at all; and what `ChatFormat.parts` throws.
 *
 * @param answers indexes of the messages to learn, ascending
 * @param ends whether a special token ends an answer
 */
export function tagAnswers(
  format: ChatFormat,
  chat: Chat,
  answers: readonly number[],
  ends: (token: string) => boolean,
): TaggedLayout[] {
  const layout = (count: number, addGenerationPrompt: boolean): Part[] =>
    format.parts({ ...chat, messages: chat.messages.slice(0, count), addGenerationPrompt });
  const whole = layout(chat.messages.length, false);
  const single = answers.map((index) => {
    const parts = index + 1 === chat.messages.length ? whole : layout(index + 1, false);
    return { index, parts, span: findSpan(parts, layout(index, true), ends, index) };
  });
  if (single.every(({ parts, span }) => beginsAs(whole, parts, span.end))) {
    const spans = single.map(({ span }) => span);
    return [{ parts: tag(whole, spans), messages: chat.messages.length }];
  }
  return single.map(({ index, parts, span }) => ({ parts: tag(parts, [span]), messages: index + 1 }));
}

function findSpan(
  parts: readonly Part[],
  prompt: readonly Part[],
  ends: (token: string) => boolean,
  index: number,
): Span {
  const start = endOfPrefix(parts, prompt);
  const end = parts.findIndex(({ text, special }, i) => start && i >= start.part && special && ends(text));
  if (start && end >= 0) return { start, end };
  throw new RowFault(
    `the chat template does not lay messages[${index}] out as its own prompt for an answer, then the answer and its end`,
  );
}

/** Whether both layouts have the same parts up to and with part `end`. */
function beginsAs(whole: readonly Part[], parts: readonly Part[], end: number): boolean {
  for (let i = 0; i <= end; i++) {
    if (whole[i]?.text !== parts[i]!.text || whole[i]!.special !== parts[i]!.special) return false;
  }
  return true;
}

/** Where `whole` goes on from `prefix`; undefined when it begins otherwise. */
function endOfPrefix(whole: readonly Part[], prefix: readonly Part[]): Place | undefined {
  for (const [i, { text, special }] of prefix.entries()) {
    const found = whole[i];
    if (found === undefined || found.special !== special) return undefined;
    if (found.text === text) continue;
    const isLast = i === prefix.length - 1;
    return isLast && !special && found.text.startsWith(text) ? { part: i, offset: text.length } : undefined;
  }
  return { part: prefix.length, offset: 0 };
}

function tag(parts: readonly Part[], spans: readonly Span[]): TaggedPart[] {
  const tagged: TaggedPart[] = [];
  let next = 0;
  for (const [i, part] of parts.entries()) {
    const span = spans[next];
    if (span === undefined || i < span.start.part) {
      tagged.push({ ...part, answer: false });
      continue;
    }
    // Cut here, text becomes tokens as it will when the model answers, never one across the border.
    const cut = i === span.start.part ? span.start.offset : 0;
    if (cut > 0) tagged.push({ ...part, text: part.text.slice(0, cut), answer: false });
    tagged.push({ ...part, text: part.text.slice(cut), answer: true });
    if (i === span.end) next++;
  }
  return tagged;
}
