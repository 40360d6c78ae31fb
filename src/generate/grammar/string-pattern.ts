import { complement, eachOf, mergeRanges } from './character-ranges.js';
import {
  type CharacterRange,
  choice,
  type Expression,
  grammarError,
  MAX_NESTING,
  repeat,
  sequence,
} from './expression.js';
import { stringCharacter } from './json-text.js';

const DIGITS: readonly CharacterRange[] = [[0x30, 0x39]];
const WORD: readonly CharacterRange[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
// ECMA-262: WhiteSpace and LineTerminator.
const SPACES: readonly CharacterRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly CharacterRange[] = [...eachOf('\n\r'), [0x2028, 0x2029]];
const CLASSES: Readonly<Record<string, readonly CharacterRange[]>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(mergeRanges(WORD)),
  s: SPACES,
  S: complement(mergeRanges(SPACES)),
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', '0': '\0' };

const ANYTHING = repeat(stringCharacter(complement([])), 0);

/**
 * The content of a JSON string that matches a regular expression of JSON Schema (ECMA-262, flag u): characters,
 * classes, groups, alternatives and counts; `^` and `$` at the ends only. Throws `json-schema-unsupported` (kind
 * `usage`) for look-around, back references, word boundaries and property classes.
 */
export function stringPattern(pattern: string): Expression {
  return new PatternParser(pattern).parse();
}

class PatternParser {
  readonly #pattern: string;
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  parse(): Expression {
    const content = this.#choice(0);
    if (this.#at < this.#pattern.length) throw this.#unsupported('the end');
    return content;
  }

  /** Anchors belong to the alternatives of the whole pattern: each without one may begin or end anywhere. */
  #choice(depth: number): Expression {
    if (depth > MAX_NESTING) throw this.#unsupported('fewer groups within each other');
    const options: Expression[] = [];
    do {
      const isTop = depth === 0;
      const begins = isTop && this.#take('^');
      const parts = this.#sequence(depth);
      const ends = isTop && this.#take('$');
      options.push(
        isTop ? sequence(...(begins ? [] : [ANYTHING]), parts, ...(ends ? [] : [ANYTHING])) : parts,
      );
    } while (this.#take('|'));
    return choice(...options);
  }

  #sequence(depth: number): Expression {
    const parts: Expression[] = [];
    while (this.#at < this.#pattern.length && !'|)$'.includes(this.#peek())) {
      parts.push(this.#quantified(this.#atom(depth)));
    }
    return sequence(...parts);
  }

  #atom(depth: number): Expression {
    if (this.#take('(')) {
      if (!this.#take('?:') && this.#peek() === '?' && !/^\?<[a-zA-Z_$][\w$]*>/.test(this.#rest())) {
        throw this.#unsupported('a group');
      }
      if (this.#take('?<')) this.#at = this.#pattern.indexOf('>', this.#at) + 1;
      const group = this.#choice(depth + 1);
      if (!this.#take(')')) throw this.#unsupported("')'");
      return group;
    }
    if (this.#take('[')) return this.#class();
    if (this.#take('.')) return stringCharacter(complement(mergeRanges(LINE_ENDS)));
    const found = this.#peek();
    if (found === '' || '^*+?{}]'.includes(found)) throw this.#unsupported('a character');
    return stringCharacter(this.#classAtom());
  }

  #quantified(body: Expression): Expression {
    const count = /^(?:[*+?]|\{(\d{1,9})(,(\d{1,9})?)?\})/.exec(this.#rest().slice(0, 32));
    if (!count) return body;
    this.#at += count[0].length;
    // Which of several matches is taken makes no difference to what matches.
    this.#take('?');
    if (count[0] === '*') return repeat(body, 0);
    if (count[0] === '+') return repeat(body, 1);
    if (count[0] === '?') return repeat(body, 0, 1);
    const min = Number(count[1]);
    const max = count[2] === undefined ? min : count[3] === undefined ? Infinity : Number(count[3]);
    if (max < min) throw this.#unsupported(`a count from ${min} up`);
    return repeat(body, min, max);
  }

  #class(): Expression {
    const negated = this.#take('^');
    const ranges: CharacterRange[] = [];
    while (!this.#take(']')) {
      const first = this.#classAtom();
      const isRange = this.#peek() === '-' && this.#pattern[this.#at + 1] !== ']' && first.length === 1;
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.#at++;
      const [from] = first[0]!;
      const last = this.#classAtom();
      if (last.length !== 1 || last[0]![0] !== last[0]![1] || last[0]![0] < from) {
        throw this.#unsupported('an ascending range before here');
      }
      ranges.push([from, last[0]![0]]);
    }
    return stringCharacter(negated ? complement(mergeRanges(ranges)) : ranges);
  }

  /** One character, or the characters of a class such as \d. */
  #classAtom(): readonly CharacterRange[] {
    const found = this.#peek();
    if (found === '') throw this.#unsupported('a character');
    this.#at += found.length;
    if (found !== '\\') return eachOf(found);
    const letter = this.#peek();
    const ranges = CLASSES[letter];
    if (
      ranges === undefined &&
      /^[1-9a-zA-Z]?$/.test(letter) &&
      !(letter in CONTROLS) &&
      !/[xu]/.test(letter)
    ) {
      throw this.#unsupported('an escape of one character or class');
    }
    const hex = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\})/i.exec(this.#rest().slice(0, 12));
    if (hex) {
      this.#at += hex[0].length;
      const codePoint = Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
      if (codePoint > 0x10ffff) throw this.#unsupported('a character before here');
      return [[codePoint, codePoint]];
    }
    if (letter === 'x' || letter === 'u') throw this.#unsupported('hexadecimal digits');
    this.#at += letter.length;
    return ranges ?? eachOf(CONTROLS[letter] ?? letter);
  }

  #rest(): string {
    return this.#pattern.slice(this.#at);
  }

  #peek(): string {
    const codePoint = this.#pattern.codePointAt(this.#at);
    return codePoint === undefined ? '' : String.fromCodePoint(codePoint);
  }

  #take(expected: string): boolean {
    if (!this.#pattern.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #unsupported(expected: string) {
    const found = this.#peek();
    const shown = found === '' ? 'its end' : JSON.stringify(found);
    const where = `character ${this.#at + 1} of pattern ${JSON.stringify(this.#pattern.slice(0, 60))}`;
    return grammarError('json-schema-unsupported', `expected ${expected} at ${where}, found ${shown}`);
  }
}
