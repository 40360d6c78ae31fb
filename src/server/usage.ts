import type { GenerationSummary } from '../generate/index.js';

/** Tokens of a request, as OpenAI's API reports them; several answers to one prompt count it once. */
export class Usage {
  #prompt = 0;
  #cached = 0;
  #completion = 0;

  add({ promptTokens, reusedTokens, generatedTokens }: GenerationSummary): void {
    this.#prompt = Math.max(this.#prompt, promptTokens);
    this.#cached = Math.max(this.#cached, reusedTokens);
    this.#completion += generatedTokens;
  }

  toBody(): object {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
    };
  }
}
