import type { CharacterRange, Expression } from './expression.js';

const LAST_CODE_POINT = 0x10ffff;
const SURROGATES: CharacterRange = [0xd800, 0xdfff];

/** One character of these ranges, which may come in any order and overlap. */
export function characters(...ranges: CharacterRange[]): Expression {
  return { kind: 'characters', ranges: mergeRanges(ranges) };
}

/** One character that none of the ranges has. */
export function charactersExcept(...ranges: CharacterRange[]): Expression {
  return { kind: 'characters', ranges: complement(mergeRanges(ranges)) };
}

/** The ranges of each character of a string. */
export function eachOf(text: string): CharacterRange[] {
  return Array.from(text, (character) => [character.codePointAt(0)!, character.codePointAt(0)!]);
}

/** The same characters in ascending ranges that do not touch. */
export function mergeRanges(ranges: readonly CharacterRange[]): CharacterRange[] {
  const sorted = ranges.filter(([first, last]) => first <= last).sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** Every code point that is in none of the merged ranges. */
export function complement(ranges: readonly CharacterRange[]): CharacterRange[] {
  const result: CharacterRange[] = [];
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) result.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST_CODE_POINT) result.push([next, LAST_CODE_POINT]);
  return result;
}

/** What both of two merged lists have. */
export function intersect(a: readonly CharacterRange[], b: readonly CharacterRange[]): CharacterRange[] {
  return mergeRanges(
    a.flatMap(([first, last]) =>
      b.map(([from, to]): CharacterRange => [Math.max(first, from), Math.min(last, to)]),
    ),
  );
}

/** A range of byte values for each byte of a character. */
export type ByteRanges = readonly CharacterRange[];

/** The UTF-8 forms of the characters: surrogates have none. */
export function utf8Forms(ranges: readonly CharacterRange[]): ByteRanges[] {
  const encodable = intersect(mergeRanges(ranges), complement([SURROGATES]));
  const forms: ByteRanges[] = [];
  for (const [first, last] of encodable) {
    for (const [from, to, length] of LENGTHS) {
      const start = Math.max(first, from);
      const end = Math.min(last, to);
      if (start <= end) splitForms(start, end, length, forms);
    }
  }
  return forms;
}

const LENGTHS = [
  [0, 0x7f, 1],
  [0x80, 0x7ff, 2],
  [0x800, 0xffff, 3],
  [0x10000, LAST_CODE_POINT, 4],
] as const;

/** Splits a range, all of `length` bytes, until every byte's values are independent of the others'. */
function splitForms(first: number, last: number, length: number, forms: ByteRanges[]): void {
  for (let tail = 1; tail < length; tail++) {
    const mask = (1 << (6 * tail)) - 1;
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0) {
      splitForms(first, first | mask, length, forms);
      splitForms((first | mask) + 1, last, length, forms);
      return;
    }
    if ((last & mask) !== mask) {
      splitForms(first, (last & ~mask) - 1, length, forms);
      splitForms(last & ~mask, last, length, forms);
      return;
    }
  }
  const low = utf8(first, length);
  const high = utf8(last, length);
  forms.push(low.map((byte, i): CharacterRange => [byte, high[i]!]));
}

const LEADS = [0, 0, 0xc0, 0xe0, 0xf0];

function utf8(codePoint: number, length: number): number[] {
  return Array.from({ length }, (_, i) => {
    const bits = codePoint >> (6 * (length - 1 - i));
    return i === 0 ? LEADS[length]! | bits : 0x80 | (bits & 0x3f);
  });
}
