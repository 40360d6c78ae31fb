/** What a text may be, whatever the model would like to write. */
export interface Constraint {
  /** @param stopTokens tokens that end a text; they may come where the text may end */
  start(stopTokens: ReadonlySet<number>): ConstraintRun;
}

/** One text under a constraint, token by token. */
export interface ConstraintRun {
  /** Whether nothing may follow. */
  readonly mustEnd: boolean;
  /** Sets the logits of all tokens that may not come next to −Infinity. */
  mask(logits: Float32Array): void;
  allows(id: number): boolean;
  /** Appends a token. Throws `token-not-allowed` (kind `internal`) for one that may not come next. */
  accept(id: number): void;
  /** The same text so far, to be continued independently. */
  fork(): ConstraintRun;
}
