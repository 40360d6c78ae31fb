import { type ByteRanges, utf8Forms } from './character-ranges.js';
import {
  type CharacterRange,
  type Expression,
  type Grammar,
  grammarError,
  MAX_NESTING,
  ROOT,
} from './expression.js';

/** Largest program; llama.cpp's largest example grammars have some thousand steps. */
const MAX_STEPS = 1 << 18;

/** Takes one byte from `low` to `high`, then `next`. */
export const BYTES = 0;
/** Goes to `next` or to `other` without taking anything. */
export const SPLIT = 1;
/** Matches the rule that starts at `other`, then `next`. */
export const CALL = 2;
/** Takes the token `low`, then `next`. */
export const TOKEN = 3;
/** The end of a rule. */
export const END = 4;
/** Matches nothing. */
export const FAIL = 5;

/** A grammar as steps over bytes. Each step is one entry of every array. */
export interface Program {
  readonly kinds: Uint8Array;
  readonly low: Int32Array;
  readonly high: Uint8Array;
  readonly next: Int32Array;
  readonly other: Int32Array;
  /** First step of the rule `root`. */
  readonly start: number;
  /** First step and name of every rule. */
  readonly rules: readonly { readonly name: string; readonly start: number }[];
}

/** Finds the token of a spelling. */
export type TokenResolver = (spelling: string) => number | undefined;

/** Every rule ends at this step: a call that returns to it returns to where its own rule was called from. */
export const END_STEP = 0;

/**
 * Translates a grammar into steps. Throws kind `usage`: `grammar-too-large`, `grammar-undefined-rule`,
 * `grammar-no-root`, `grammar-unknown-token`.
 */
export function compileGrammar(grammar: Grammar, resolveToken: TokenResolver): Program {
  return new Compiler(grammar, resolveToken).compile();
}

class Compiler {
  readonly #grammar: Grammar;
  readonly #resolveToken: TokenResolver;
  readonly #kinds: number[] = [];
  readonly #low: number[] = [];
  readonly #high: number[] = [];
  readonly #next: number[] = [];
  readonly #other: number[] = [];
  readonly #ruleIndex = new Map<string, number>();
  readonly #starts: number[] = [];
  readonly #utf8 = new TextEncoder();

  constructor(grammar: Grammar, resolveToken: TokenResolver) {
    this.#grammar = grammar;
    this.#resolveToken = resolveToken;
  }

  compile(): Program {
    const root = this.#grammar.get(ROOT);
    if (!root) throw grammarError('grammar-no-root', "expected a rule named 'root', found none");
    this.#step(END, END_STEP);
    const names = [...this.#grammar.keys()];
    for (const [index, name] of names.entries()) this.#ruleIndex.set(name, index);
    for (const expression of this.#grammar.values())
      this.#starts.push(this.#expression(expression, END_STEP, 0));
    // Calls were written down with the index of their rule, because it may come later.
    for (const [step, kind] of this.#kinds.entries()) {
      if (kind === CALL) this.#other[step] = this.#starts[this.#other[step]!]!;
    }
    return {
      kinds: Uint8Array.from(this.#kinds),
      low: Int32Array.from(this.#low),
      high: Uint8Array.from(this.#high),
      next: Int32Array.from(this.#next),
      other: Int32Array.from(this.#other),
      start: this.#starts[this.#ruleIndex.get(ROOT)!]!,
      rules: names.map((name, index) => ({ name, start: this.#starts[index]! })),
    };
  }

  #step(kind: number, next: number, { low = 0, high = 0, other = END_STEP } = {}): number {
    if (this.#kinds.length >= MAX_STEPS) {
      throw grammarError(
        'grammar-too-large',
        `expected at most ${MAX_STEPS} steps with all repetitions written out, found more`,
      );
    }
    this.#low.push(low);
    this.#high.push(high);
    this.#next.push(next);
    this.#other.push(other);
    return this.#kinds.push(kind) - 1;
  }

  /** The first step of an expression that is followed by `next`. */
  #expression(expression: Expression, next: number, depth: number): number {
    if (depth > 4 * MAX_NESTING) {
      throw grammarError('grammar-too-large', 'expected fewer expressions within each other');
    }
    switch (expression.kind) {
      case 'text':
        return this.#bytes(this.#utf8.encode(expression.text), next);
      case 'characters':
        return this.#characters(expression.ranges, next);
      case 'token':
        return this.#step(TOKEN, next, { low: this.#token(expression.token) });
      case 'sequence':
        return expression.parts.reduceRight((after, part) => this.#expression(part, after, depth + 1), next);
      case 'choice':
        return this.#either(expression.options.map((option) => this.#expression(option, next, depth + 1)));
      case 'repeat':
        return this.#repeat(expression, next, depth + 1);
      case 'rule': {
        const other = this.#ruleIndex.get(expression.name);
        if (other === undefined) {
          throw grammarError(
            'grammar-undefined-rule',
            `expected a rule named '${expression.name}', found none`,
          );
        }
        return this.#step(CALL, next, { other });
      }
    }
  }

  #bytes(bytes: Uint8Array, next: number): number {
    return bytes.reduceRight((after, byte) => this.#step(BYTES, after, { low: byte, high: byte }), next);
  }

  #characters(ranges: readonly CharacterRange[], next: number): number {
    const shared = new Map<string, number>();
    const form = (bytes: ByteRanges): number =>
      bytes.reduceRight((after, [low, high]) => {
        const key = `${low} ${high} ${after}`;
        const step = shared.get(key) ?? this.#step(BYTES, after, { low, high });
        shared.set(key, step);
        return step;
      }, next);
    return this.#either(utf8Forms(ranges).map(form));
  }

  #either(starts: readonly number[]): number {
    if (starts.length === 0) return this.#step(FAIL, END_STEP);
    return starts.reduceRight((rest, start) => this.#step(SPLIT, start, { other: rest }));
  }

  #repeat({ body, min, max }: Expression & { kind: 'repeat' }, next: number, depth: number): number {
    let after = next;
    if (max === Infinity) {
      after = this.#step(SPLIT, END_STEP, { other: next });
      this.#next[after] = this.#expression(body, after, depth);
    }
    const optional = max === Infinity ? 0 : max - min;
    for (let i = 0; i < optional + min; i++) {
      const start = this.#expression(body, after, depth);
      // A body of nothing is the same however often.
      if (start === after) break;
      after = i < optional ? this.#step(SPLIT, start, { other: next }) : start;
    }
    return after;
  }

  #token(token: number | string): number {
    const id = typeof token === 'number' ? token : this.#resolveToken(token);
    if (id === undefined) {
      throw grammarError('grammar-unknown-token', `expected a token of the vocabulary, found ${token}`);
    }
    return id;
  }
}
