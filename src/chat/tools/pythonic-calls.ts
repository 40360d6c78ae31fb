import { type CallMatch, type FoundCall, NONE, PARTIAL, skipSpace, type ToolNames } from './call-match.js';

/** Values nested deeper than this are no arguments. */
const MAX_DEPTH = 64;
const NAME = /[\p{L}_][\p{L}\p{N}_.-]*/uy;
const NUMBER = /[+-]?(?:\d[\d_]*)?(?:\.\d*)?(?:[eE][+-]?\d*)?/y;
const CONSTANTS: Readonly<Record<string, string>> = {
  True: 'true',
  False: 'false',
  None: 'null',
  true: 'true',
  false: 'false',
  null: 'null',
};
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '0': '\0' };

/** The text ended where more was expected. */
class Unfinished extends Error {}
/** The text is no Python call. */
class NotPython extends Error {}

/**
 * Calls as a Python list, `[f(a="x", b=[1, {"c": None}]), g()]`, the form Meta documents for Llama 4. With `final`,
 * nothing follows the text any more, and a missing `]` is forgiven.
 */
export function matchPythonicCalls(text: string, start: number, tools: ToolNames, final = false): CallMatch {
  const reader = new PythonReader(text, start + 1);
  const calls: FoundCall[] = [];
  try {
    for (;;) {
      calls.push(reader.call(tools));
      if (final && reader.atEnd()) break;
      const next = reader.next();
      if (next === ']') break;
      if (next !== ',') return NONE;
      if (reader.peek() === ']') {
        reader.next();
        break;
      }
    }
  } catch (error) {
    if (error instanceof Unfinished) return final ? NONE : PARTIAL;
    if (error instanceof NotPython) return NONE;
    throw error;
  }
  return { kind: 'calls', calls, end: reader.at };
}

/** `name.call(query="…")`, the form of Llama 3's built-in tools; `start` is where the name begins. */
export function matchMethodCall(text: string, start: number, name: string, tools: ToolNames): CallMatch {
  const reader = new PythonReader(text, start + name.length + '.call'.length);
  try {
    const callArguments = reader.callArguments(tools.get(name) ?? []);
    return { kind: 'calls', calls: [{ name, arguments: callArguments }], end: reader.at };
  } catch (error) {
    if (error instanceof Unfinished) return PARTIAL;
    if (error instanceof NotPython) return NONE;
    throw error;
  }
}

/** Reads Python literals and gives them as JSON text, so that no digit of a number is lost. */
class PythonReader {
  at: number;
  readonly #text: string;

  constructor(text: string, at: number) {
    this.#text = text;
    this.at = at;
  }

  atEnd(): boolean {
    this.at = skipSpace(this.#text, this.at);
    return this.at >= this.#text.length;
  }

  peek(): string {
    if (this.atEnd()) throw new Unfinished();
    return this.#text[this.at]!;
  }

  next(): string {
    const character = this.peek();
    this.at++;
    return character;
  }

  call(tools: ToolNames): FoundCall {
    this.peek();
    const name = this.#match(NAME);
    if (this.at >= this.#text.length) {
      if ([...tools.keys()].some((tool) => tool.startsWith(name))) throw new Unfinished();
      throw new NotPython();
    }
    const parameters = tools.get(name);
    if (!parameters) throw new NotPython();
    return { name, arguments: this.callArguments(parameters) };
  }

  /** `(a=1, …)` as a JSON object; values without a name take the parameters' names in order. */
  callArguments(parameters: readonly string[]): string {
    this.#expect('(');
    const members: string[] = [];
    while (this.peek() !== ')') {
      const named = this.#argumentName();
      const name = named ?? parameters[members.length];
      if (name === undefined) throw new NotPython();
      members.push(`${JSON.stringify(name)}: ${this.#value(0)}`);
      if (this.peek() !== ')') this.#expect(',');
    }
    this.at++;
    return `{${members.join(', ')}}`;
  }

  #argumentName(): string | undefined {
    this.peek();
    const before = this.at;
    const name = this.#match(NAME);
    if (name !== '' && this.peek() === '=') {
      this.at++;
      return name;
    }
    this.at = before;
    return undefined;
  }

  #value(depth: number): string {
    if (depth > MAX_DEPTH) throw new NotPython();
    const first = this.peek();
    if (first === '"' || first === "'") return JSON.stringify(this.#string(first));
    if (first === '[' || first === '(') return this.#list(first === '[' ? ']' : ')', depth);
    if (first === '{') return this.#dictionary(depth);
    const word = this.#match(NAME);
    if (word !== '') {
      if (this.at >= this.#text.length) throw new Unfinished();
      const constant = CONSTANTS[word];
      if (constant === undefined) throw new NotPython();
      return constant;
    }
    return this.#number();
  }

  #list(close: string, depth: number): string {
    this.at++;
    const items: string[] = [];
    while (this.peek() !== close) {
      items.push(this.#value(depth + 1));
      if (this.peek() !== close) this.#expect(',');
    }
    this.at++;
    return `[${items.join(', ')}]`;
  }

  #dictionary(depth: number): string {
    this.at++;
    const members: string[] = [];
    while (this.peek() !== '}') {
      const key = this.#value(depth + 1);
      this.#expect(':');
      members.push(`${key.startsWith('"') ? key : JSON.stringify(key)}: ${this.#value(depth + 1)}`);
      if (this.peek() !== '}') this.#expect(',');
    }
    this.at++;
    return `{${members.join(', ')}}`;
  }

  #string(quote: string): string {
    this.at++;
    let value = '';
    for (; this.at < this.#text.length; this.at++) {
      const character = this.#text[this.at]!;
      if (character === quote) {
        this.at++;
        return value;
      }
      if (character !== '\\') {
        value += character;
        continue;
      }
      const escaped = this.#text[++this.at];
      if (escaped === undefined) break;
      if (escaped === 'u' || escaped === 'x') {
        const digits = this.#text.slice(this.at + 1, this.at + (escaped === 'u' ? 5 : 3));
        if (this.at + digits.length + 1 >= this.#text.length) break;
        if (!/^[0-9a-fA-F]+$/.test(digits)) throw new NotPython();
        value += String.fromCharCode(Number.parseInt(digits, 16));
        this.at += digits.length;
      } else value += ESCAPES[escaped] ?? escaped;
    }
    throw new Unfinished();
  }

  #number(): string {
    const digits = this.#match(NUMBER);
    if (this.at >= this.#text.length) throw new Unfinished();
    const plain = digits.replaceAll('_', '').replace(/^\+/, '');
    if (!/\d/.test(plain)) throw new NotPython();
    const [, sign, whole, fraction, exponent] = /^(-?)(\d*)(?:\.(\d*))?(?:[eE](.*))?$/.exec(plain)!;
    const integer = (whole ?? '').replace(/^0+(?=\d)/, '') || '0';
    return `${sign}${integer}${fraction ? `.${fraction}` : ''}${exponent ? `e${exponent}` : ''}`;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }

  #expect(character: string): void {
    if (this.next() !== character) throw new NotPython();
  }
}
