import { CriaError } from '../../base/errors.js';
import type { Constraint, ConstraintRun } from '../constraint.js';
import { Automaton } from './automaton.js';
import type { Grammar } from './expression.js';
import { type GrammarTokenizer, textBytes, vocabularyTrie } from './grammar-tokenizer.js';
import type { MatchState } from './match-state.js';
import type { VocabularyTrie } from './vocabulary-trie.js';
import { type Triggers, waitFor } from './waiting-state.js';

/** Masks kept, of one bit per token: 13 MB for the 202,048 tokens of Llama 4. */
const MAX_MASKS = 512;

/**
 * Keeps a text to a grammar, token by token. Only texts that the grammar can complete are begun, and stop tokens may
 * come exactly where it is complete. Which tokens may follow a state of the grammar is found once, by a walk through
 * the tree of the vocabulary, and kept: for one generation after another, with the same grammar.
 *
 * With `triggers` everything may be written until one of them, and the grammar holds for what comes after.
 *
 * Throws kind `usage`: the codes of `Automaton`. Generation throws `grammar-too-ambiguous`.
 */
export class TokenGrammar implements Constraint {
  readonly #tokenizer: GrammarTokenizer;
  readonly #trie: VocabularyTrie;
  readonly #automaton: Automaton;
  readonly #start: MatchState;
  readonly #masks = new Map<MatchState, Uint32Array>();

  constructor(grammar: Grammar, tokenizer: GrammarTokenizer, triggers: Triggers = {}) {
    this.#automaton = new Automaton(grammar, (spelling) => tokenizer.tokenId(spelling));
    this.#start = waitFor(triggers, this.#automaton.start);
    this.#tokenizer = tokenizer;
    this.#trie = vocabularyTrie(tokenizer);
  }

  start(stopTokens: ReadonlySet<number>): ConstraintRun {
    return new GrammarRun(this, stopTokens, this.#start);
  }

  /** A bit per token id, set for those that may follow `state`; stop tokens are not considered. */
  maskOf(state: MatchState): Uint32Array {
    let mask = this.#masks.get(state);
    if (mask === undefined) {
      this.#automaton.resetWork();
      mask = this.#trie.allowed(state);
      if (state.isFree) setAll(mask, this.#trie.textless);
      setAll(mask, state.tokens);
      const [oldest] = this.#masks.keys();
      if (this.#masks.size >= MAX_MASKS && oldest) this.#masks.delete(oldest);
      this.#masks.set(state, mask);
    }
    return mask;
  }

  /** The state after a token; undefined where it may not come. */
  after(state: MatchState, id: number): MatchState | undefined {
    this.#automaton.resetWork();
    const byId = state.stepToken(id);
    const bytes = textBytes(this.#tokenizer, id);
    if (bytes === undefined || byId?.isFree === false) return byId;
    let next: MatchState | undefined = state;
    for (const byte of bytes) next = next?.step(byte);
    return next;
  }
}

class GrammarRun implements ConstraintRun {
  readonly #grammar: TokenGrammar;
  readonly #stopTokens: ReadonlySet<number>;
  #state: MatchState;

  constructor(grammar: TokenGrammar, stopTokens: ReadonlySet<number>, state: MatchState) {
    this.#grammar = grammar;
    this.#stopTokens = stopTokens;
    this.#state = state;
  }

  get mustEnd(): boolean {
    return this.#state.mustEnd;
  }

  mask(logits: Float32Array): void {
    const mask = this.#grammar.maskOf(this.#state);
    const stops = Array.from(this.#stopTokens, (id) => [id, logits[id]!] as const);
    for (let word = 0; 32 * word < logits.length; word++) {
      const bits = mask[word] ?? 0;
      if (bits === 0xffffffff) continue;
      const end = Math.min(32 * word + 32, logits.length);
      for (let id = 32 * word; id < end; id++) {
        if ((bits & (1 << (id & 31))) === 0) logits[id] = -Infinity;
      }
    }
    for (const [id, logit] of stops) logits[id] = this.#state.mayEnd ? logit : -Infinity;
  }

  allows(id: number): boolean {
    return this.#after(id) !== undefined;
  }

  accept(id: number): void {
    const next = this.#after(id);
    if (next === undefined) {
      throw new CriaError('internal', 'token-not-allowed', `the grammar does not allow token ${id} here`);
    }
    this.#state = next;
  }

  fork(): ConstraintRun {
    return new GrammarRun(this.#grammar, this.#stopTokens, this.#state);
  }

  #after(id: number): MatchState | undefined {
    if (!this.#stopTokens.has(id)) return this.#grammar.after(this.#state, id);
    return this.#state.mayEnd ? this.#state : undefined;
  }
}

function setAll(mask: Uint32Array, ids: Iterable<number>): void {
  for (const id of ids) mask[id >> 5]! |= 1 << (id & 31);
}
