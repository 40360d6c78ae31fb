/** How far a text has been matched. Immutable: every byte leads to another one, or to none where it cannot come. */
export interface MatchState {
  /** Whether the text may end here. */
  readonly mayEnd: boolean;
  /** Whether it has to. */
  readonly mustEnd: boolean;
  /** Whether every control token may come, too. */
  readonly isFree: boolean;
  step(byte: number): MatchState | undefined;
  /** After a token that stands for no text, or whose text does not matter. */
  stepToken(id: number): MatchState | undefined;
  /** Tokens that may come by id rather than for their text. */
  readonly tokens: Iterable<number>;
}
