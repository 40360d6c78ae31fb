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
  const prompts = answers.map((index) => layout(index, true));
  const whole = layout(chat.messages.length, false);
  const spans = prompts.map((prompt) => findSpan(whole, prompt, ends));
  if (spans.every((span) => span !== undefined)) {
    return [{ parts: tag(whole, spans), messages: chat.messages.length }];
  }
  return answers.map((index, i) => {
    const upToAnswer = layout(index + 1, false);
    const span = findSpan(upToAnswer, prompts[i]!, ends);
    if (span) return { parts: tag(upToAnswer, [span]), messages: index + 1 };
    throw new RowFault(
      `the chat template does not lay messages[${index}] out as its own prompt for an answer, followed by an answer and its end`,
    );
  });
}

function findSpan(whole: readonly Part[], prompt: readonly Part[], ends: (token: string) => boolean) {
  const start = endOfPrefix(whole, prompt);
  if (!start) return undefined;
  const end = whole.findIndex(({ text, special }, i) => i >= start.part && special && ends(text));
  return end < 0 ? undefined : { start, end };
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
