import { CASELESS, characterClasses, LOWER, MARK, NUMBER, OTHER, SPACE, UPPER } from './unicode-classes.js';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BLANK = 0x20;
const APOSTROPHE = 0x27;
const SLASH = 0x2f;
const LONG_S = 0x17f;

// Sets of classes, one bit per class.
const UPPER_SIDE = (1 << UPPER) | (1 << CASELESS) | (1 << MARK);
const LOWER_SIDE = (1 << LOWER) | (1 << CASELESS) | (1 << MARK);
const BOTH_SIDES = UPPER_SIDE & LOWER_SIDE;
const WORD_PREFIX = (1 << OTHER) | (1 << SPACE) | (1 << MARK);
const SYMBOL = (1 << OTHER) | (1 << MARK);

/**
 * Cuts text into the pieces within which byte pairs are merged: what `LLAMA4_SPLIT_PATTERN` matches one after another,
 * found without a regular-expression engine so that time stays linear whatever the text (a run of characters is
 * looked at a fixed number of times). A lone surrogate counts as U+FFFD.
 */
export class PreTokenizer {
  readonly #classes = characterClasses();
  #text = '';
  #end = 0;

  /** Calls `piece(start, end)` for the consecutive pieces of `text.slice(start, end)`, which they cover entirely. */
  split(text: string, start: number, end: number, piece: (start: number, end: number) => void): void {
    this.#text = text;
    this.#end = end;
    while (start < end) {
      const next = this.#pieceEnd(start);
      piece(start, next);
      start = next;
    }
    this.#text = '';
  }

  #pieceEnd(start: number): number {
    const code = this.#text.charCodeAt(start);
    const next = start + this.#width(start);
    const set = this.#classSet(start);
    if ((set & WORD_PREFIX) !== 0 && code !== LINE_FEED && code !== CARRIAGE_RETURN) {
      const end = this.#word(start, next);
      if (end > 0) return end;
    } else if ((set & (1 << NUMBER)) !== 0) {
      return this.#digits(next);
    } else if ((set & (1 << SPACE)) === 0) {
      return this.#word(start, start);
    }
    if ((set & SYMBOL) !== 0) return this.#symbols(next);
    if (code === BLANK && (this.#classSet(next) & SYMBOL) !== 0) return this.#symbols(next);
    return this.#spaces(start, next);
  }

  /**
   * The first two alternatives: letters from `letters` on, after the optional prefix character at `start`.
   * Returns 0 when neither matches.
   */
  #word(start: number, letters: number): number {
    const end = this.#lowerEnding(letters) || (this.#isMark(start) ? this.#lowerEnding(start) : 0);
    if (end > 0) return this.#contraction(end);
    const upperEnd = this.#skip(letters, UPPER_SIDE);
    return upperEnd > letters ? this.#contraction(upperEnd) : 0;
  }

  /**
   * End of `[upper side]*[lower side]+` at `start`, or 0. The greedy first part gives back characters until the
   * second has one: when no lower-case letter follows the run, that is the run's last character of both sides.
   */
  #lowerEnding(start: number): number {
    let at = start;
    let afterBoth = 0;
    for (;;) {
      const set = this.#classSet(at);
      if ((set & UPPER_SIDE) === 0) break;
      at += this.#width(at);
      if ((set & BOTH_SIDES) !== 0) afterBoth = at;
    }
    const end = this.#skip(at, LOWER_SIDE);
    return end > at ? end : afterBoth;
  }

  /** `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`; U+017F (long s) is an `s` under case folding. */
  #contraction(at: number): number {
    if (at >= this.#end || this.#text.charCodeAt(at) !== APOSTROPHE) return at;
    const first = this.#lowerCase(at + 1);
    if (first === 's' || first === 't' || first === 'm' || first === 'd') return at + 2;
    const pair = first + this.#lowerCase(at + 2);
    return pair === 're' || pair === 've' || pair === 'll' ? at + 3 : at;
  }

  #digits(afterFirst: number): number {
    let at = afterFirst;
    for (let count = 1; count < 3 && (this.#classSet(at) & (1 << NUMBER)) !== 0; count++) {
      at += this.#width(at);
    }
    return at;
  }

  #symbols(at: number): number {
    at = this.#skip(at, SYMBOL);
    while (at < this.#end) {
      const code = this.#text.charCodeAt(at);
      if (code !== LINE_FEED && code !== CARRIAGE_RETURN && code !== SLASH) break;
      at++;
    }
    return at;
  }

  /** The last three alternatives, at white space: through the last line break, else all but the last, else one. */
  #spaces(start: number, afterFirst: number): number {
    let at = start;
    let last = start;
    let afterBreak = 0;
    while (at < this.#end && (this.#classSet(at) & (1 << SPACE)) !== 0) {
      const code = this.#text.charCodeAt(at);
      last = at;
      at++;
      if (code === LINE_FEED || code === CARRIAGE_RETURN) afterBreak = at;
    }
    if (afterBreak > 0) return afterBreak;
    return at === this.#end ? at : Math.max(last, afterFirst);
  }

  #skip(at: number, set: number): number {
    while ((this.#classSet(at) & set) !== 0) at += this.#width(at);
    return at;
  }

  #isMark(at: number): boolean {
    return (this.#classSet(at) & (1 << MARK)) !== 0;
  }

  /** The class at `at` as a one-bit set; empty at the end of the text. */
  #classSet(at: number): number {
    if (at >= this.#end) return 0;
    const code = this.#text.charCodeAt(at);
    const isHigh = code >= 0xd800 && code < 0xdc00;
    return 1 << this.#classes[isHigh && at + 1 < this.#end ? this.#text.codePointAt(at)! : code]!;
  }

  /** UTF-16 units of the character at `at`. */
  #width(at: number): number {
    const code = this.#text.charCodeAt(at);
    return code >= 0xd800 && code < 0xdc00 && at + 1 < this.#end && this.#text.codePointAt(at)! > 0xffff
      ? 2
      : 1;
  }

  #lowerCase(at: number): string {
    if (at >= this.#end) return '';
    const code = this.#text.charCodeAt(at);
    return code === LONG_S ? 's' : String.fromCharCode(code).toLowerCase();
  }
}
