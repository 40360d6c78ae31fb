import { characters } from './character-ranges.js';
import { choice, type Expression, repeat, sequence, text } from './expression.js';

const MOST_DIGITS = 16;
const LARGEST_WITH_FRACTION = 2 ** 30;

/** Whole numbers from `min` to `max`, as decimal digits without leading zeros; undefined when there are none. */
function integerRange(min: number, max: number): Expression | undefined {
  const low = Math.ceil(min);
  const high = Math.floor(max);
  if (low > high) return undefined;
  const parts: Expression[] = [];
  if (high >= 0) parts.push(naturalRange(Math.max(low, 0), high));
  if (low < 0) parts.push(sequence(text('-'), naturalRange(Math.max(-high, 1), -low)));
  return choice(...parts);
}

export interface Bounds {
  readonly min: number;
  readonly max: number;
  /** Whether the bounds themselves are left out. */
  readonly aboveMin?: boolean;
  readonly belowMax?: boolean;
}

/** Whole numbers within the bounds; undefined when there are none. */
export function wholeNumbers({ min, max, aboveMin, belowMax }: Bounds): Expression | undefined {
  return integerRange(aboveMin ? Math.floor(min) + 1 : min, belowMax ? Math.ceil(max) - 1 : max);
}

/**
 * Numbers within the bounds: whole ones, and fractions between two whole numbers that are within or at the bounds.
 * Undefined when there are none of these.
 */
export function numbers(bounds: Bounds): Expression | undefined {
  const parts: Expression[] = [];
  const whole = wholeNumbers(bounds);
  if (whole !== undefined) parts.push(whole);
  // Larger numbers with six digits after the point may be rounded to a whole one.
  const low = Math.max(Math.ceil(bounds.min), -LARGEST_WITH_FRACTION);
  const high = Math.min(Math.floor(bounds.max), LARGEST_WITH_FRACTION);
  const fraction = sequence(text('.'), repeat(digits('0', '9'), 0, 5), digits('1', '9'));
  if (high >= 1 && low < high) parts.push(sequence(naturalRange(Math.max(low, 0), high - 1), fraction));
  if (low <= -1 && low < high) {
    parts.push(sequence(text('-'), naturalRange(Math.max(-high, 0), -low - 1), fraction));
  }
  return parts.length === 0 ? undefined : choice(...parts);
}

/** Whole numbers from `low` ≥ 0 to `high`, one length of digits after another. */
function naturalRange(low: number, high: number): Expression {
  const parts: Expression[] = [];
  const first = digitsOf(low);
  const last = high >= 10 ** MOST_DIGITS ? '9'.repeat(Math.max(MOST_DIGITS, first.length)) : digitsOf(high);
  for (let length = first.length; length <= last.length; length++) {
    const from = length === first.length ? first : `1${'0'.repeat(length - 1)}`;
    const to = length === last.length ? last : '9'.repeat(length);
    parts.push(sameLength(from, to));
  }
  return choice(...parts);
}

function digitsOf(value: number): string {
  return BigInt(value).toString();
}

/** Numbers of as many digits as both ends have. */
function sameLength(from: string, to: string): Expression {
  const rest = from.length - 1;
  if (rest === 0) return digits(from, to);
  if (from[0] === to[0]) return sequence(text(from[0]!), sameLength(from.slice(1), to.slice(1)));
  const zeros = '0'.repeat(rest);
  const nines = '9'.repeat(rest);
  const parts: Expression[] = [];
  // Where an end is no round number, its first digit has fewer successors than the digits between.
  const low = from.slice(1) === zeros ? from[0]! : String(Number(from[0]) + 1);
  const high = to.slice(1) === nines ? to[0]! : String(Number(to[0]) - 1);
  if (low !== from[0]) parts.push(sequence(text(from[0]!), sameLength(from.slice(1), nines)));
  if (low <= high) parts.push(sequence(digits(low, high), repeat(digits('0', '9'), rest, rest)));
  if (high !== to[0]) parts.push(sequence(text(to[0]!), sameLength(zeros, to.slice(1))));
  return choice(...parts);
}

function digits(from: string, to: string): Expression {
  return characters([from.charCodeAt(0), to.charCodeAt(0)]);
}
