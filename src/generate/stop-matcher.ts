import { CriaError } from '../base/errors.js';

export interface StopStep {
  /** Text that belongs to the answer and can be shown. */
  readonly text: string;
  /** Whether a stop string was reached; nothing may be pushed after it. */
  readonly stopped: boolean;
}

/**
 * Finds stop strings in text that comes in parts, whatever the parts. Text that may turn out to be the beginning of
 * a stop string is held back; a stop string itself is never emitted. The stop string that is complete first ends the
 * text; of several complete at once, the longest.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';

  /** Throws `empty-stop-string` (kind `usage`). */
  constructor(stops: readonly string[]) {
    if (stops.includes('')) {
      throw new CriaError('usage', 'empty-stop-string', 'expected stop strings of at least one character');
    }
    this.#stops = stops;
  }

  push(part: string): StopStep {
    const text = this.#held + part;
    const match = this.#firstMatch(text);
    if (match !== undefined) {
      this.#held = '';
      return { text: text.slice(0, match), stopped: true };
    }
    const shown = text.length - this.#undecided(text);
    this.#held = text.slice(shown);
    return { text: text.slice(0, shown), stopped: false };
  }

  /** The text held back, when no more comes. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Where the stop string that ends first begins. */
  #firstMatch(text: string): number | undefined {
    let start: number | undefined;
    let end = Infinity;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at === -1 || at + stop.length > end) continue;
      start = at + stop.length < end ? at : Math.min(at, start!);
      end = at + stop.length;
    }
    return start;
  }

  /** Length of the longest end of the text with which a stop string begins. */
  #undecided(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
