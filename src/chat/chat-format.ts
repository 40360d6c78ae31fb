import type { Metadata } from '../formats/tensor-source.js';
import { LiteralMarks, stringsIn } from './literal-marks.js';
import { LLAMA4_TEMPLATE } from './llama4-template.js';
import type { Chat, ChatMessage } from './messages.js';
import { IMAGE_TOKEN, placeImages, splitImages } from './prompt-images.js';
import { type PromptPart, SpecialTokenFinder } from './special-tokens.js';
import { ChatTemplate } from './template.js';
import { prepareChat } from './tools/prepare-chat.js';
import { type TemplateTraits, templateTraits } from './tools/template-traits.js';

/** The part of a tokenizer that prompts need. */
export interface ChatTokenizer {
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  isSpecial(id: number): boolean;
  tokenText(id: number): string;
  encode(text: string, options: { addBos: boolean; parseSpecial: boolean }): readonly number[];
}

/** What a loaded model says about its chats. */
export interface ChatModel {
  readonly tokenizer: ChatTokenizer;
  readonly chatTemplate: string | undefined;
  readonly metadata: Metadata;
}

/** The format of a model's chats, with another template than its own if one is given. */
export function chatFormat(model: ChatModel, template = model.chatTemplate): ChatFormat {
  const eos = model.metadata.get('tokenizer.ggml.eos_token_id')?.value;
  return new ChatFormat(model.tokenizer, template, typeof eos === 'number' ? eos : undefined);
}

/** Turns conversations into token ids: a template and the tokenizer whose special tokens it uses. */
export class ChatFormat {
  readonly template: ChatTemplate;
  readonly #tokenizer: ChatTokenizer;
  readonly #specialIds: ReadonlyMap<string, number>;
  readonly #finder: SpecialTokenFinder;
  #traits: TemplateTraits | undefined;
  readonly #tokens: { bosToken?: string; eosToken?: string };

  /**
   * @param template Jinja source; Llama 4's own layout when absent. Throws `bad-chat-template`.
   * @param eosId the token templates know as `eos_token`
   */
  constructor(tokenizer: ChatTokenizer, template: string = LLAMA4_TEMPLATE, eosId?: number) {
    this.template = new ChatTemplate(template);
    this.#tokenizer = tokenizer;
    this.#specialIds = specialIds(tokenizer);
    this.#finder = new SpecialTokenFinder(this.#specialIds.keys());
    const { bosId } = tokenizer;
    this.#tokens = {
      bosToken: bosId === undefined ? undefined : tokenizer.tokenText(bosId),
      eosToken: eosId === undefined ? undefined : tokenizer.tokenText(eosId),
    };
  }

  /**
   * The prompt cut at the special tokens of the template. Special tokens that somebody spelled out in a message
   * stay text: a message cannot end its own turn or open another role's.
   */
  parts(given: Chat): PromptPart[] {
    this.#traits ??= templateTraits(this.template);
    const chat = prepareChat(splitImages(given).chat, this.#traits);
    if (!this.#spellsSpecialTokens(chat)) {
      return this.#finder.split(this.template.render(chat, this.#tokens));
    }
    const marks = new LiteralMarks([this.template.source, ...stringsIn(chat)]);
    const marked = marks.mark(chat, (text) => this.#finder.occursIn(text));
    const { text, literal } = marks.unmark(this.template.render(marked, this.#tokens));
    return this.#finder.split(text, literal);
  }

  /**
   * Token ids of the prompt, with BOS once in front where the vocabulary has one, and the tokens of its pictures.
   * Throws `images-lost` when the template leaves pictures out.
   */
  encode(chat: Chat): number[] {
    const { bosId } = this.#tokenizer;
    const ids = this.parts(chat).flatMap(({ text, special }) =>
      special
        ? [this.#specialIds.get(text)!]
        : this.#tokenizer.encode(text, { addBos: false, parseSpecial: false }),
    );
    const whole = bosId === undefined || ids[0] === bosId ? ids : [bosId, ...ids];
    return placeImages(whole, this.#specialIds.get(IMAGE_TOKEN), splitImages(chat).images);
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

function specialIds(tokenizer: ChatTokenizer): Map<string, number> {
  const ids = new Map<string, number>();
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (tokenizer.isSpecial(id)) ids.set(tokenizer.tokenText(id), id);
  }
  return ids;
}

function messageTexts({ content }: ChatMessage): string[] {
  if (typeof content === 'string') return [content];
  return content?.map((part) => ('text' in part ? part.text : '')) ?? [];
}
