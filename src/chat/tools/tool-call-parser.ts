import { type CallMatch, type FoundCall, NONE, PARTIAL, skipSpace, type ToolNames } from './call-match.js';
import { matchJsonCall } from './json-calls.js';
import { JsonScanner } from './json-scanner.js';
import { matchMethodCall, matchPythonicCalls } from './pythonic-calls.js';

/** What a piece of a model's text turned out to be. Arguments of a call are pieces of one JSON text. */
export type ToolCallEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly index: number; readonly name: string }
  | { readonly type: 'arguments'; readonly index: number; readonly text: string };

const PYTHON_START = '<|python_start|>';
const PYTHON_END = '<|python_end|>';
const FUNCTION = '<function=';
/** Tools that take what the model writes as a program. */
const CODE_TOOLS = ['code_interpreter', 'python'];
/** What stands between and after calls and says nothing. */
const SEPARATORS = /^[\s;,\]]*$/;
const TRAILING_SPACE = /\s*$/;

/**
 * Finds the tool calls in a model's answer while it streams, in each of the forms Llama 4 writes: JSON objects, bare
 * or between python tags, several in a row or in an array; Python lists of calls; `<function=name>{…}</function>`;
 * `name.call(…)`; programs between python tags where a code tool was offered. Text around the calls is passed on; a
 * text that only looks like the beginning of a call is held back until that is settled.
 */
export class ToolCallParser {
  readonly #tools: ToolNames;
  readonly #openers: readonly string[];
  readonly #codeTool: string | undefined;
  #pending = '';
  #events: ToolCallEvent[] = [];
  #calls = 0;
  #saidAnything = false;
  /** Set while the arguments of a call pass by. */
  #scanner: JsonScanner | undefined;
  /** What follows the arguments within the call. */
  #closing: JsonScanner | string | undefined;

  constructor(tools: ToolNames) {
    this.#tools = tools;
    this.#codeTool = CODE_TOOLS.find((name) => tools.has(name));
    const methods = Array.from(tools.keys(), (name) => `${name}.call(`);
    this.#openers = [PYTHON_START, PYTHON_END, FUNCTION, ...methods];
  }

  /** Calls found so far. */
  get calls(): number {
    return this.#calls;
  }

  push(text: string): ToolCallEvent[] {
    this.#pending += text;
    while (this.#advance(false));
    return this.#taken();
  }

  /** The answer is complete; what was held back is decided now. */
  end(): ToolCallEvent[] {
    while (this.#advance(true));
    if (this.#scanner === undefined && this.#closing === undefined) this.#say(this.#pending);
    this.#pending = '';
    return this.#taken();
  }

  #taken(): ToolCallEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Takes the next piece off the pending text; false when more text is needed. */
  #advance(final: boolean): boolean {
    if (this.#pending === '') return false;
    if (this.#scanner) return this.#passArguments(this.#scanner);
    if (this.#closing !== undefined) return this.#passClosing(this.#closing);
    const { at, match, opener } = this.#find(final);
    if (match.kind === 'partial' || match.kind === 'none') {
      // Everything before the candidate is text; white space waits, as it may stand before a call.
      const settled = this.#pending.slice(0, at);
      const space = TRAILING_SPACE.exec(settled)![0].length;
      const held = SEPARATORS.test(settled) ? settled.length : space;
      this.#say(settled.slice(0, settled.length - held));
      this.#pending = this.#pending.slice(settled.length - held);
      return false;
    }
    const before = this.#pending.slice(0, at);
    this.#say(SEPARATORS.test(before) ? '' : before.replace(TRAILING_SPACE, ''));
    if (match.kind === 'calls') {
      for (const call of match.calls) this.#found(call);
      this.#pending = this.#pending.slice(match.end);
    } else {
      this.#begin(match.name);
      this.#scanner = new JsonScanner();
      this.#closing = opener === FUNCTION ? '</function>' : new JsonScanner(1);
      this.#pending = this.#pending.slice(match.argumentsAt);
    }
    return true;
  }

  /** The first place where a call begins or may begin; `none` at the end of the text when there is none. */
  #find(final: boolean): { at: number; match: CallMatch; opener: string } {
    const text = this.#pending;
    for (let at = 0; at < text.length; at++) {
      const opener = this.#openerAt(at);
      if (opener === undefined) continue;
      const match = this.#matchAt(at, opener, final);
      if (match.kind === 'none' || (match.kind === 'partial' && final)) continue;
      return { at, match, opener };
    }
    return { at: text.length, match: NONE, opener: '' };
  }

  /** `{`, `[` or one of the openers, perhaps cut off by the end of the text. */
  #openerAt(at: number): string | undefined {
    const text = this.#pending;
    if (text[at] === '{' || text[at] === '[') return text[at];
    return this.#openers.find((opener) =>
      text.length - at < opener.length ? opener.startsWith(text.slice(at)) : text.startsWith(opener, at),
    );
  }

  #matchAt(at: number, opener: string, final: boolean): CallMatch {
    const text = this.#pending;
    if (opener === '{') return matchJsonCall(text, at, this.#tools);
    if (opener === '[') return this.#matchList(at, final);
    if (text.length - at < opener.length) return PARTIAL;
    if (opener === PYTHON_END) return { kind: 'calls', calls: [], end: at + opener.length };
    if (opener === PYTHON_START) return this.#matchPython(at + opener.length, final);
    if (opener === FUNCTION) return this.#matchFunction(at);
    return matchMethodCall(text, at, opener.slice(0, -'.call('.length), this.#tools);
  }

  #matchList(at: number, final: boolean): CallMatch {
    const text = this.#pending;
    const inner = skipSpace(text, at + 1);
    if (inner >= text.length) return PARTIAL;
    return text[inner] === '{'
      ? matchJsonCall(text, inner, this.#tools)
      : matchPythonicCalls(text, at, this.#tools, final);
  }

  /** What follows a python tag: calls, which are found without it, or a program for the code tool. */
  #matchPython(start: number, final: boolean): CallMatch {
    const untagged: CallMatch = { kind: 'calls', calls: [], end: start };
    if (this.#codeTool === undefined) return untagged;
    const text = this.#pending;
    const inner = skipSpace(text, start);
    if (inner >= text.length) return PARTIAL;
    const opener = this.#openerAt(inner);
    if (opener !== undefined && this.#matchAt(inner, opener, final).kind !== 'none') return untagged;
    const close = text.indexOf(PYTHON_END, start);
    if (close < 0 && !final) return PARTIAL;
    const end = close < 0 ? text.length : close;
    const [parameter = 'code'] = this.#tools.get(this.#codeTool) ?? [];
    const program = text.slice(start, end).trim();
    if (program === '') return untagged;
    return {
      kind: 'calls',
      calls: [{ name: this.#codeTool, arguments: JSON.stringify({ [parameter]: program }) }],
      end,
    };
  }

  /** `<function=name>{…}</function>` */
  #matchFunction(at: number): CallMatch {
    const text = this.#pending;
    const close = text.indexOf('>', at);
    if (close < 0) return PARTIAL;
    const name = text.slice(at + FUNCTION.length, close).trim();
    if (!this.#tools.has(name)) return NONE;
    const argumentsAt = skipSpace(text, close + 1);
    if (argumentsAt >= text.length) return PARTIAL;
    if (text[argumentsAt] === '{') return { kind: 'open', name, argumentsAt };
    const call = { name, arguments: '{}' };
    return { kind: 'calls', calls: [call], end: close + 1 };
  }

  #passArguments(scanner: JsonScanner): boolean {
    const end = scanner.end(this.#pending, 0);
    const length = end < 0 ? this.#pending.length : end;
    const index = this.#calls - 1;
    this.#events.push({ type: 'arguments', index, text: this.#pending.slice(0, length) });
    this.#pending = this.#pending.slice(length);
    if (end >= 0) this.#scanner = undefined;
    return end >= 0;
  }

  #passClosing(closing: JsonScanner | string): boolean {
    let end: number;
    if (typeof closing === 'string') {
      const at = skipSpace(this.#pending, 0);
      const rest = this.#pending.slice(at);
      if (rest.length < closing.length && closing.startsWith(rest)) return false;
      // A missing end tag is forgiven.
      end = rest.startsWith(closing) ? at + closing.length : 0;
    } else end = closing.end(this.#pending, 0);
    this.#pending = end < 0 ? '' : this.#pending.slice(end);
    if (end >= 0) this.#closing = undefined;
    return end >= 0;
  }

  #found(call: FoundCall): void {
    this.#begin(call.name);
    this.#events.push({ type: 'arguments', index: this.#calls - 1, text: call.arguments });
  }

  #begin(name: string): void {
    this.#events.push({ type: 'call', index: this.#calls, name });
    this.#calls++;
  }

  #say(text: string): void {
    const shown = this.#calls > 0 && SEPARATORS.test(text) ? '' : text;
    if (shown === '' || (!this.#saidAnything && shown.trim() === '' && this.#calls > 0)) return;
    this.#saidAnything = true;
    this.#events.push({ type: 'text', text: shown });
  }
}
