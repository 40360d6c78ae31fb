import { checkDraftOption } from './draft-options.js';
import { type Draft, type Drafter, type DraftRun, NO_DRAFT } from './drafter.js';

export interface LookupOptions {
  /** Tokens at the end of the text that have to have occurred before; default 3. */
  readonly ngramSize?: number;
  /** Most tokens of a draft; default 16. */
  readonly maxTokens?: number;
  /** Shorter drafts are not worth checking; default 0. */
  readonly minTokens?: number;
}

/**
 * Drafts what followed the last occurrence of the text's end, in the prompt or in the answer: code, quotations and
 * lists repeat themselves. Needs no second model (prompt look-up decoding). Throws `bad-draft-option`.
 */
export class LookupDrafter implements Drafter {
  readonly maxTokens: number;
  readonly #ngramSize: number;
  readonly #minTokens: number;

  constructor({ ngramSize = 3, maxTokens = 16, minTokens = 0 }: LookupOptions = {}) {
    this.#ngramSize = checkDraftOption('ngramSize', ngramSize, 1);
    this.maxTokens = checkDraftOption('maxTokens', maxTokens, 1);
    this.#minTokens = checkDraftOption('minTokens', minTokens, 0);
  }

  start(): DraftRun {
    const index = new NgramIndex(this.#ngramSize);
    return {
      propose: async ({ history, limit }) => {
        const draft = continuation(history, index.find(history), limit);
        return draft.tokens.length < this.#minTokens ? NO_DRAFT : draft;
      },
    };
  }
}

/** `limit` tokens from `start` on; a repetition that reaches the end of the text goes on repeating. */
function continuation(history: readonly number[], start: number | undefined, limit: number): Draft {
  if (start === undefined) return NO_DRAFT;
  const tokens: number[] = [];
  for (let at = start; tokens.length < limit; at++) {
    tokens.push(at < history.length ? history[at]! : tokens[at - history.length]!);
  }
  return { tokens };
}

/** Where each run of `size` tokens of a growing text was last followed by something. */
class NgramIndex {
  readonly #size: number;
  readonly #ends = new Map<string, number>();
  #indexed: number;

  constructor(size: number) {
    this.#size = size;
    this.#indexed = size - 1;
  }

  /** The position after the last earlier occurrence of the text's end. */
  find(history: readonly number[]): number | undefined {
    // The end itself is followed by nothing yet: it enters with the next call.
    for (let end = this.#indexed + 1; end < history.length; end++)
      this.#ends.set(this.#key(history, end), end);
    this.#indexed = Math.max(this.#indexed, history.length - 1);
    return history.length < this.#size ? undefined : this.#ends.get(this.#key(history, history.length));
  }

  #key(history: readonly number[], end: number): string {
    return history.slice(end - this.#size, end).join();
  }
}
