import { LiteralMarks, stringsIn } from './literal-marks.js';
import { LLAMA4_TEMPLATE } from './llama4-template.js';
import type { Chat, ChatMessage } from './messages.js';
import { type PromptPart, SpecialTokenFinder } from './special-tokens.js';
import { ChatTemplate } from './template.js';

/** The part of a tokenizer that prompts need. */
export interface ChatTokenizer {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** Spelling of every special token, and its id. */
  readonly specialTokens: ReadonlyMap<string, number>;
  encode(text: string, options: { addBos: boolean; parseSpecial: boolean }): readonly number[];
}

/** Turns conversations into token ids: a template and the tokenizer whose special tokens it uses. */
export class ChatFormat {
  readonly template: ChatTemplate;
  readonly #tokenizer: ChatTokenizer;
  readonly #finder: SpecialTokenFinder;
  readonly #tokens: { bosToken?: string; eosToken?: string };

  /** @param template Jinja source; Llama 4's own layout when absent. Throws `bad-chat-template`. */
  constructor(tokenizer: ChatTokenizer, template: string = LLAMA4_TEMPLATE) {
    this.template = new ChatTemplate(template);
    this.#tokenizer = tokenizer;
    this.#finder = new SpecialTokenFinder(tokenizer.specialTokens.keys());
    const spelling = (id: number | undefined) =>
      [...tokenizer.specialTokens].find(([, special]) => special === id)?.[0];
    this.#tokens = { bosToken: spelling(tokenizer.bosId), eosToken: spelling(tokenizer.eosId) };
  }

  /**
   * The prompt cut at the special tokens of the template. Special tokens that somebody spelled out in a message
   * stay text: a message cannot end its own turn or open another role's.
   */
  parts(chat: Chat): PromptPart[] {
    if (!this.#spellsSpecialTokens(chat)) {
      return this.#finder.split(this.template.render(chat, this.#tokens));
    }
    const marks = new LiteralMarks([this.template.source, ...stringsIn(chat)]);
    const marked = marks.mark(chat, (text) => this.#finder.occursIn(text));
    const { text, literal } = marks.unmark(this.template.render(marked, this.#tokens));
    return this.#finder.split(text, literal);
  }

  /** Token ids of the prompt, with BOS once in front where the vocabulary has one. */
  encode(chat: Chat): number[] {
    const { bosId, specialTokens } = this.#tokenizer;
    const ids = this.parts(chat).flatMap(({ text, special }) =>
      special
        ? [specialTokens.get(text)!]
        : this.#tokenizer.encode(text, { addBos: false, parseSpecial: false }),
    );
    return bosId === undefined || ids[0] === bosId ? ids : [bosId, ...ids];
  }

  #spellsSpecialTokens(chat: Chat): boolean {
    const { messages, tools, variables } = chat;
    const texts = messages.flatMap(messageTexts);
    // Templates join the parts of a message, and trim them first: a token in two halves is a token, too.
    const joined = [texts.join(''), texts.map((text) => text.trim()).join('')];
    const structured = [...stringsIn(messages), ...stringsIn(tools), ...stringsIn(variables)];
    return [...joined, ...structured].some((text) => this.#finder.occursIn(text));
  }
}

function messageTexts({ content }: ChatMessage): string[] {
  if (typeof content === 'string') return [content];
  return content?.map((part) => part.text ?? '') ?? [];
}
