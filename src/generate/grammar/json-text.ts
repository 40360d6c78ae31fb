import { characters, complement, eachOf, intersect, mergeRanges } from './character-ranges.js';
import {
  type CharacterRange,
  choice,
  type Expression,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';

// JSON (RFC 8259) in the form in which models write it: one space or one indented line where space may be. Free
// space would let a model that has nothing to say write it forever.

/** Code points that strings hold only in escaped form; DEL is not among them, but no text has it. */
const ESCAPED_ONLY: readonly CharacterRange[] = [[0, 0x1f], [0x7f, 0x7f], ...eachOf('"\\')];
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
};

const DIGIT = characters([0x30, 0x39]);
const DIGIT_1_9 = characters([0x31, 0x39]);
const HEX = characters(...eachOf('0123456789abcdefABCDEF'));

export const SPACE_RULE = 'space';
export const CHARACTER_RULE = 'character';
export const VALUE_RULE = 'value';
export const OBJECT_RULE = 'object';
export const ARRAY_RULE = 'array';
export const STRING_RULE = 'string';
export const NUMBER_RULE = 'number';
export const INTEGER_RULE = 'integer';

const space = rule(SPACE_RULE);
const character = rule(CHARACTER_RULE);

export function quoted(content: Expression): Expression {
  return sequence(text('"'), content, text('"'));
}

/** `open item separator item … close` with space inside; `items` may be nothing. */
export function bracketed(open: string, items: Expression, close: string): Expression {
  return sequence(text(open), space, items, space, text(close));
}

export const COMMA = sequence(text(','), space);
export const COLON = sequence(text(':'), space);

const FRACTION = sequence(text('.'), repeat(DIGIT, 1, 16));
const EXPONENT = sequence(
  characters(...eachOf('eE')),
  optional(characters(...eachOf('+-'))),
  repeat(DIGIT, 1, 2),
);
/** At most 16 digits: no more than a double keeps. */
const WHOLE = choice(text('0'), sequence(DIGIT_1_9, repeat(DIGIT, 0, 15)));

// Halves of surrogate pairs are left out: alone they are no character.
const UNICODE_ESCAPE = sequence(
  text('u'),
  choice(
    sequence(characters(...eachOf('0123456789abcefABCEF')), repeat(HEX, 3, 3)),
    sequence(characters(...eachOf('dD')), characters([0x30, 0x37]), repeat(HEX, 2, 2)),
  ),
);

/** Characters of a string that stand for themselves. */
export const PLAIN_CHARACTERS = complement(mergeRanges(ESCAPED_ONLY));

/** One character of a string, as it is or escaped. */
const ANY_CHARACTER = choice(
  characters(...PLAIN_CHARACTERS),
  sequence(text('\\'), choice(characters(...eachOf('"\\/bfnrt')), UNICODE_ESCAPE)),
);

/** One character of the ranges, as it is written within a string. */
export function stringCharacter(ranges: readonly CharacterRange[]): Expression {
  const merged = mergeRanges(ranges);
  const plain = intersect(merged, PLAIN_CHARACTERS);
  const escaped = intersect(merged, mergeRanges(ESCAPED_ONLY)).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => text(escapedCharacter(first + i))),
  );
  return choice(characters(...plain), ...escaped);
}

function escapedCharacter(codePoint: number): string {
  const short = SHORT_ESCAPES[String.fromCodePoint(codePoint)];
  return short === undefined ? `\\u${codePoint.toString(16).padStart(4, '0')}` : `\\${short}`;
}

/** Rules for every kind of JSON value. */
export function jsonRules(): [name: string, expression: Expression][] {
  const value = rule(VALUE_RULE);
  const member = sequence(rule(STRING_RULE), COLON, value);
  const list = (item: Expression) => optional(sequence(item, repeat(sequence(COMMA, item), 0)));
  return [
    [
      SPACE_RULE,
      optional(choice(text(' '), sequence(text('\n'), repeat(characters(...eachOf(' \t')), 0, 20)))),
    ],
    [CHARACTER_RULE, ANY_CHARACTER],
    [STRING_RULE, quoted(repeat(character, 0))],
    [INTEGER_RULE, sequence(optional(text('-')), WHOLE)],
    [NUMBER_RULE, sequence(rule(INTEGER_RULE), optional(FRACTION), optional(EXPONENT))],
    [OBJECT_RULE, bracketed('{', list(member), '}')],
    [ARRAY_RULE, bracketed('[', list(value), ']')],
    [
      VALUE_RULE,
      choice(
        rule(OBJECT_RULE),
        rule(ARRAY_RULE),
        rule(STRING_RULE),
        rule(NUMBER_RULE),
        text('true'),
        text('false'),
        text('null'),
      ),
    ],
  ];
}
