import { characters, charactersExcept } from './character-ranges.js';
import {
  type CharacterRange,
  choice,
  type Expression,
  type Grammar,
  grammarError,
  MAX_NESTING,
  ROOT,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';

/** Longest grammar text; the largest in llama.cpp's collection has some thousand characters. */
const MAX_LENGTH = 1 << 20;

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
const LITERAL_ESCAPES = '\\"[]-^';
const HEX_ESCAPES: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * Reads a grammar in llama.cpp's notation, GBNF: `name ::= …` with `"text"`, `[a-z]`, `[^…]`, `.`, `<token>`,
 * `<[id]>`, names, groups, `|`, `*`, `+`, `?`, `{m,n}` and `#` comments. Throws kind `usage`: `grammar-syntax` with
 * line and column, `grammar-duplicate-rule`, `grammar-undefined-rule`, `grammar-no-root`, `grammar-too-large`.
 */
export function parseGbnf(source: string): Grammar {
  if (source.length > MAX_LENGTH) {
    throw grammarError(
      'grammar-too-large',
      `expected at most ${MAX_LENGTH} characters, found ${source.length}`,
    );
  }
  return new GbnfParser(source).parse();
}

class GbnfParser {
  readonly #source: string;
  readonly #rules = new Map<string, Expression>();
  /** Where each name was first used. */
  readonly #uses = new Map<string, number>();
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Grammar {
    this.#skipSpace(true);
    while (this.#at < this.#source.length) this.#rule();
    if (!this.#rules.has(ROOT)) {
      throw grammarError('grammar-no-root', "expected a rule named 'root', found none");
    }
    for (const [name, at] of this.#uses) {
      if (!this.#rules.has(name)) {
        throw grammarError(
          'grammar-undefined-rule',
          `expected a rule named '${name}', used at ${this.#place(at)}, found none`,
        );
      }
    }
    return this.#rules;
  }

  #rule(): void {
    const start = this.#at;
    const name = this.#name();
    if (name === '') throw this.#unexpected('a rule');
    this.#skipSpace(false);
    if (!this.#take('::=')) throw this.#unexpected("'::='");
    if (this.#rules.has(name)) {
      throw grammarError('grammar-duplicate-rule', `rule '${name}' is given again at ${this.#place(start)}`);
    }
    this.#skipSpace(true);
    this.#rules.set(name, this.#choice(0));
    if (this.#at < this.#source.length && !/[\r\n]/.test(this.#peek())) throw this.#unexpected('a new line');
    this.#skipSpace(true);
  }

  #choice(depth: number): Expression {
    if (depth > MAX_NESTING) {
      throw grammarError('grammar-too-large', `expected at most ${MAX_NESTING} groups within each other`);
    }
    const options = [this.#sequence(depth)];
    while (this.#take('|')) {
      this.#skipSpace(true);
      options.push(this.#sequence(depth));
    }
    return choice(...options);
  }

  #sequence(depth: number): Expression {
    const parts: Expression[] = [];
    for (;;) {
      const symbol = this.#symbol(depth);
      if (symbol === undefined) return sequence(...parts);
      this.#skipSpace(depth > 0);
      parts.push(this.#repetitions(symbol, depth));
    }
  }

  #symbol(depth: number): Expression | undefined {
    if (this.#take('"')) return this.#literal();
    if (this.#take('[')) return this.#class();
    if (this.#take('<')) return this.#token();
    if (this.#take('.')) return charactersExcept();
    if (this.#take('(')) {
      this.#skipSpace(true);
      const group = this.#choice(depth + 1);
      if (!this.#take(')')) throw this.#unexpected("')'");
      return group;
    }
    const start = this.#at;
    const name = this.#name();
    if (name === '') return undefined;
    if (!this.#uses.has(name)) this.#uses.set(name, start);
    return rule(name);
  }

  #repetitions(symbol: Expression, depth: number): Expression {
    let repeated = symbol;
    for (;;) {
      if (this.#take('*')) repeated = repeat(repeated, 0);
      else if (this.#take('+')) repeated = repeat(repeated, 1);
      else if (this.#take('?')) repeated = repeat(repeated, 0, 1);
      else if (this.#take('{')) repeated = this.#count(repeated);
      else return repeated;
      this.#skipSpace(depth > 0);
    }
  }

  #count(body: Expression): Expression {
    const found = /^\s*(\d{1,9})\s*(,\s*(\d{1,9})?\s*)?\}/.exec(this.#source.slice(this.#at, this.#at + 64));
    if (!found) throw this.#unexpected("'m}', 'm,}' or 'm,n}'");
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === undefined ? Infinity : Number(found[3]);
    if (max < min) throw this.#unexpected(`a number from ${min} up`);
    this.#at += found[0].length;
    return repeat(body, min, max);
  }

  #literal(): Expression {
    let value = '';
    while (!this.#take('"')) value += this.#character("'\"'");
    return text(value);
  }

  #class(): Expression {
    const negated = this.#take('^');
    const ranges: CharacterRange[] = [];
    while (!this.#take(']')) {
      const first = this.#character("']'").codePointAt(0)!;
      const isRange = this.#peek() === '-' && this.#source[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      const last = isRange ? this.#character("']'").codePointAt(0)! : first;
      if (last < first) throw this.#unexpected('an ascending range before here');
      ranges.push([first, last]);
    }
    return negated ? charactersExcept(...ranges) : characters(...ranges);
  }

  #token(): Expression {
    const end = this.#source.indexOf('>', this.#at);
    const name = this.#source.slice(this.#at, end);
    if (end < 0 || /[\r\n]/.test(name)) throw this.#unexpected("a token and '>'");
    this.#at = end + 1;
    const id = /^\[(\d{1,9})\]$/.exec(name);
    return { kind: 'token', token: id ? Number(id[1]) : `<${name}>` };
  }

  /** One character of a text or class, with escapes. */
  #character(end: string): string {
    const found = this.#peek();
    if (found === '' || found === '\n' || found === '\r') throw this.#unexpected(end);
    this.#at += found.length;
    if (found !== '\\') return found;
    const letter = this.#peek();
    const digits = HEX_ESCAPES[letter];
    if (digits !== undefined) {
      const hex = this.#source.slice(this.#at + 1, this.#at + 1 + digits);
      const codePoint = Number.parseInt(hex, 16);
      if (hex.length < digits || !/^[0-9a-f]+$/i.test(hex) || codePoint > 0x10ffff) {
        throw this.#unexpected(`${digits} hexadecimal digits of a character`);
      }
      this.#at += 1 + digits;
      return String.fromCodePoint(codePoint);
    }
    const value = ESCAPES[letter] ?? (letter !== '' && LITERAL_ESCAPES.includes(letter) ? letter : undefined);
    if (value === undefined) throw this.#unexpected('an escape: \\n \\r \\t \\\\ \\" \\[ \\] \\x \\u \\U');
    this.#at += letter.length;
    return value;
  }

  #name(): string {
    const pattern = /[a-zA-Z0-9-]+/y;
    pattern.lastIndex = this.#at;
    const name = pattern.exec(this.#source)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  /** The character here, empty at the end. */
  #peek(): string {
    const codePoint = this.#source.codePointAt(this.#at);
    return codePoint === undefined ? '' : String.fromCodePoint(codePoint);
  }

  #take(expected: string): boolean {
    if (!this.#source.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #skipSpace(newLines: boolean): void {
    const space = newLines ? /[ \t\r\n]*/y : /[ \t]*/y;
    do this.#skip(space);
    while (this.#skip(/#[^\r\n]*/y) && newLines);
  }

  /** Whether there was anything of `pattern`, a sticky one. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.#source)?.[0].length ?? 0;
    this.#at += length;
    return length > 0;
  }

  #unexpected(expected: string) {
    const found = this.#peek();
    const shown = found === '' ? 'the end' : JSON.stringify(found);
    return grammarError('grammar-syntax', `expected ${expected} at ${this.#place(this.#at)}, found ${shown}`);
  }

  #place(at: number): string {
    const before = this.#source.slice(0, at).split('\n');
    return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
  }
}
