import type { MatchState } from './match-state.js';

/** When a grammar begins to hold; what comes before is free. */
export interface Triggers {
  /** Texts after which the grammar's text begins. */
  readonly texts?: readonly string[];
  /** Tokens after which it begins. */
  readonly tokens?: readonly number[];
}

/** A free text until one of the triggers; then the grammar's text. */
export function waitFor({ texts = [], tokens = [] }: Triggers, start: MatchState): MatchState {
  // One character a byte, so that ends and beginnings of byte strings can be compared as strings.
  const triggers = texts.map((text) => Buffer.from(text, 'utf8').toString('latin1'));
  const states = new Map<string, WaitingState>();
  const stateOf = (seen: string): WaitingState => {
    let state = states.get(seen);
    if (state === undefined) {
      state = new WaitingState(seen, next, (id) => (tokens.includes(id) ? start : stateOf('')));
      states.set(seen, state);
    }
    return state;
  };
  const next = (seen: string, byte: number): MatchState => {
    const text = seen + String.fromCharCode(byte);
    if (triggers.some((trigger) => text.endsWith(trigger))) return start;
    let kept = text;
    while (kept !== '' && !triggers.some((trigger) => trigger.startsWith(kept))) kept = kept.slice(1);
    return stateOf(kept);
  };
  // Nothing may be everything: without triggers, or with an empty one, the grammar holds from the start.
  return triggers.includes('') || triggers.length + tokens.length === 0 ? start : stateOf('');
}

/** A state for each beginning of a trigger that the text ends with. */
class WaitingState implements MatchState {
  readonly mayEnd = true;
  readonly mustEnd = false;
  readonly isFree = true;
  readonly tokens = [];
  readonly stepToken: (id: number) => MatchState;
  readonly #seen: string;
  readonly #advance: (seen: string, byte: number) => MatchState;
  readonly #next: MatchState[] = [];

  constructor(
    seen: string,
    advance: (seen: string, byte: number) => MatchState,
    stepToken: (id: number) => MatchState,
  ) {
    this.#seen = seen;
    this.#advance = advance;
    this.stepToken = stepToken;
  }

  step(byte: number): MatchState {
    this.#next[byte] ??= this.#advance(this.#seen, byte);
    return this.#next[byte];
  }
}
