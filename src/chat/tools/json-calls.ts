import { type CallMatch, NONE, PARTIAL, skipSpace, type ToolNames } from './call-match.js';
import { JsonScanner } from './json-scanner.js';

const NAME_KEYS: ReadonlySet<string> = new Set(['name', 'function']);
const ARGUMENT_KEYS: ReadonlySet<string> = new Set(['parameters', 'arguments']);
const OTHER_KEYS: ReadonlySet<string> = new Set(['type', 'id']);
const PRIMITIVE = /[^\s,}\]]*/y;

/**
 * A call as a JSON object: `{"name": …, "parameters": {…}}`, also with `arguments`, `type` and `id`, in any order, or
 * with both in a `function` object. Objects with other keys, or naming no tool, are no calls.
 */
export function matchJsonCall(text: string, start: number, tools: ToolNames): CallMatch {
  let name: string | undefined;
  let callArguments: string | undefined;
  let at = skipSpace(text, start + 1);
  for (;;) {
    if (at >= text.length) return PARTIAL;
    if (text[at] === '}') break;
    const key = readValue(text, at);
    if (key === undefined) return isKeyStart(text.slice(at)) ? PARTIAL : NONE;
    if (typeof key.value !== 'string') return NONE;
    at = skipSpace(text, key.end);
    if (at >= text.length) return PARTIAL;
    if (text[at] !== ':') return NONE;
    at = skipSpace(text, at + 1);
    if (at >= text.length) return PARTIAL;

    if (ARGUMENT_KEYS.has(key.value) && name !== undefined && text[at] === '{') {
      return { kind: 'open', name, argumentsAt: at };
    }
    if (![NAME_KEYS, ARGUMENT_KEYS, OTHER_KEYS].some((keys) => keys.has(key.value as string))) return NONE;
    const member = readValue(text, at);
    if (member === undefined) return PARTIAL;
    const { value } = member;
    if (value === INVALID) return NONE;
    if (NAME_KEYS.has(key.value)) {
      if (typeof value === 'string') name = value;
      else {
        const inner = value as { name?: unknown; parameters?: unknown; arguments?: unknown } | null;
        if (typeof inner?.name !== 'string') return NONE;
        name = inner.name;
        callArguments = asArguments(inner.parameters ?? inner.arguments);
      }
      if (!tools.has(name)) return NONE;
    } else if (ARGUMENT_KEYS.has(key.value)) callArguments = asArguments(value);
    at = skipSpace(text, member.end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
    else if (at < text.length && text[at] !== '}') return NONE;
  }
  if (name === undefined) return NONE;
  return { kind: 'calls', calls: [{ name, arguments: callArguments ?? '{}' }], end: at + 1 };
}

const INVALID = Symbol('invalid');

/** The JSON value at `at` and where it ends; undefined when the text ends before it does. */
function readValue(text: string, at: number): { value: unknown; end: number } | undefined {
  let end: number;
  if ('{["'.includes(text[at]!)) {
    end = new JsonScanner().end(text, at);
    if (end < 0) return undefined;
  } else {
    PRIMITIVE.lastIndex = at;
    end = at + PRIMITIVE.exec(text)![0].length;
    if (end === text.length) return undefined;
  }
  try {
    return { value: JSON.parse(text.slice(at, end)), end };
  } catch {
    return { value: INVALID, end };
  }
}

/** Whether an unfinished text can still become one of the keys. */
function isKeyStart(text: string): boolean {
  const keys = [...NAME_KEYS, ...ARGUMENT_KEYS, ...OTHER_KEYS];
  return keys.some((key) => `"${key}"`.startsWith(text));
}

/** Arguments are sent as JSON in a string by some: taken as they are. */
function asArguments(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? {});
}
