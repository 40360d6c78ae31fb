import type { Chat, ChatMessage, PromptImage } from './messages.js';

/** The messages of one chat, in order: an optional system prompt, then user and assistant in turn. */
export class Conversation {
  #system: string | undefined;
  #turns: ChatMessage[] = [];

  constructor(system?: string) {
    this.system = system;
  }

  get system(): string | undefined {
    return this.#system;
  }

  /** An empty system prompt is none. */
  set system(text: string | undefined) {
    this.#system = text === '' ? undefined : text;
  }

  get chat(): Chat {
    const system: ChatMessage[] =
      this.#system === undefined ? [] : [{ role: 'system', content: this.#system }];
    return { messages: [...system, ...this.#turns] };
  }

  get isEmpty(): boolean {
    return this.#turns.length === 0;
  }

  /** A message; `images` stand before its text. */
  addUser(text: string, images: readonly PromptImage[] = []): void {
    const parts = images.map((image) => ({ type: 'image', image }) as const);
    const content = parts.length === 0 ? text : [...parts, { type: 'text', text } as const];
    this.#turns.push({ role: 'user', content });
  }

  addAssistant(content: string): void {
    this.#turns.push({ role: 'assistant', content });
  }

  /** Takes back everything after the last user message; false when there is no user message. */
  dropAnswer(): boolean {
    const last = this.#turns.findLastIndex((message) => message.role === 'user');
    this.#turns.length = last + 1;
    return last >= 0;
  }

  /** Takes back the last user message and what followed it. */
  dropTurn(): void {
    if (this.dropAnswer()) this.#turns.pop();
  }

  /** Forgets all turns and keeps the system prompt. */
  clear(): void {
    this.#turns = [];
  }
}
