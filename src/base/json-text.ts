/** Why a JSON text is not worth parsing. */
export type JsonFault =
  | { readonly kind: 'duplicate-key'; readonly key: string }
  | { readonly kind: 'too-deep' };

/**
 * Looks over a JSON text, valid or not, for what `JSON.parse` would let pass: keys that appear twice in one object,
 * of which it keeps the last, and nesting deeper than `maxDepth`, which costs it far more memory than the text.
 */
export function findJsonFault(text: string, maxDepth: number): JsonFault | undefined {
  const keys: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        if (keys.length === maxDepth) return { kind: 'too-deep' };
        keys.push(text[at] === '{' ? new Set() : undefined);
        break;
      case '}':
      case ']':
        keys.pop();
        break;
      case '"': {
        const end = stringEnd(text, at);
        const seen = keys.at(-1);
        if (seen !== undefined && isKey(text, end)) {
          const key = stringValue(text.slice(at, end));
          if (seen.has(key)) return { kind: 'duplicate-key', key };
          seen.add(key);
        }
        at = end - 1;
      }
    }
  }
  return undefined;
}

/**
 * Members of the object that a valid JSON text holds, each value as it is spelled there: `1.0` stays `1.0`, which other
 * languages tell from `1`.
 */
export function objectMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let key: string | undefined;
  let start = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === '"') {
      const end = stringEnd(text, at);
      if (depth === 1 && isKey(text, end)) {
        key = stringValue(text.slice(at, end));
        start = text.indexOf(':', end) + 1;
      }
      at = end - 1;
    } else if (character === '{' || character === '[') {
      depth++;
    } else if (character === ',' || character === '}' || character === ']') {
      if (depth === 1 && key !== undefined) members.set(key, text.slice(start, at).trim());
      if (depth === 1) key = undefined;
      if (character !== ',') depth--;
    }
  }
  return members;
}

/** The text of an object with these members, indented by two spaces. */
export function objectText(members: ReadonlyMap<string, string>): string {
  const lines = Array.from(members, ([key, value]) => `  ${JSON.stringify(key)}: ${value}`);
  return `{\n${lines.join(',\n')}\n}`;
}

/** Index behind the closing quote of the string that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

function isKey(text: string, end: number): boolean {
  let at = end;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at++;
  return text[at] === ':';
}

/** The text of a JSON string; a malformed one stays as it is, for JSON.parse to complain about. */
function stringValue(json: string): string {
  if (!json.includes('\\')) return json.slice(1, -1);
  try {
    return JSON.parse(json) as string;
  } catch {
    return json;
  }
}
