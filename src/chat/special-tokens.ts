/** A stretch of prompt text: one special token, or text in which nothing counts as special. */
export interface PromptPart {
  readonly text: string;
  readonly special: boolean;
}

/** Half-open range of characters. */
export type Range = readonly [start: number, end: number];

/** Finds special tokens spelled out in text, the first and longest first, as tokenizers do. */
export class SpecialTokenFinder {
  readonly #pattern: RegExp | undefined;

  constructor(spellings: Iterable<string>) {
    const longestFirst = [...spellings].filter(Boolean).sort((a, b) => b.length - a.length);
    if (longestFirst.length > 0) this.#pattern = new RegExp(longestFirst.map(escapeRegExp).join('|'), 'g');
  }

  occursIn(text: string): boolean {
    return this.#pattern !== undefined && text.search(this.#pattern) >= 0;
  }

  /** Cuts `text` at its special tokens, except those that touch one of the `literal` ranges (ascending). */
  split(text: string, literal: readonly Range[] = []): PromptPart[] {
    const parts: PromptPart[] = [];
    let plainFrom = 0;
    let range = 0;
    const pattern = this.#pattern;
    if (pattern) pattern.lastIndex = 0;
    for (let match = pattern?.exec(text); match; match = pattern!.exec(text)) {
      const start = match.index;
      const end = start + match[0].length;
      while (range < literal.length && literal[range]![1] <= start) range++;
      if (range < literal.length && literal[range]![0] < end) {
        // A special token may begin inside this one and lie wholly outside the range.
        pattern!.lastIndex = start + 1;
        continue;
      }
      if (start > plainFrom) parts.push({ text: text.slice(plainFrom, start), special: false });
      parts.push({ text: match[0], special: true });
      plainFrom = end;
    }
    if (plainFrom < text.length) parts.push({ text: text.slice(plainFrom), special: false });
    return parts;
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
