import type { ConstraintRun } from '../constraint.js';
import type { Distribution } from '../sampler.js';
import type { SamplingOptions } from '../sampling-options.js';

/** Tokens that may follow a text, to be checked by the model that writes it. */
export interface Draft {
  readonly tokens: readonly number[];
  /**
   * What each token was drawn from. Left out: the drafter is certain of its tokens, they were not drawn. A token may
   * not be dropped for what it is once it was drawn (a draft may end anywhere, though): the text's distribution would
   * then differ from the model's own.
   */
  readonly distributions?: readonly Distribution[];
}

export const NO_DRAFT: Draft = { tokens: [] };

/** How the tokens of one generation are chosen. */
export interface DraftRules {
  readonly sampling: SamplingOptions;
  /** Ids from this on are never chosen. */
  readonly tokenCount: number;
  /** Tokens after which nothing comes. */
  readonly stopTokens: ReadonlySet<number>;
}

export interface DraftRequest {
  /** The text to be continued: that of the request before, and at least one more token. */
  readonly history: readonly number[];
  /** Most tokens of the draft. */
  readonly limit: number;
  /** Tokens that are drawn have to be drawn under it (on a fork); those that are not may break it. */
  readonly constraint: ConstraintRun | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The drafts of one generation. */
export interface DraftRun {
  /** What can be done as soon as the prompt is known. */
  prepare?(history: readonly number[], signal: AbortSignal | undefined): Promise<void>;
  /** Throws CriaError kind `cancelled` when the signal stopped it. */
  propose(request: DraftRequest): Promise<Draft>;
}

/** Guesses how texts go on, faster than the model that writes them. */
export interface Drafter {
  /** Most tokens worth guessing at once. */
  readonly maxTokens: number;
  start(rules: DraftRules): DraftRun;
}
