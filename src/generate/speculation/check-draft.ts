import type { Outputs } from '../../model/token-model.js';
import type { ConstraintRun } from '../constraint.js';
import type { Sampler } from '../sampler.js';
import type { Draft } from './drafter.js';

export interface TokenRules {
  readonly sampler: Sampler;
  readonly constraint: ConstraintRun | undefined;
  readonly stopTokens: ReadonlySet<number>;
}

export interface CheckedTokens {
  /** Drafted tokens that were kept, and one more unless they end the text. */
  readonly tokens: readonly number[];
  /** How many of them were drafted. */
  readonly accepted: number;
  /** Whether nothing may follow the last. */
  readonly ends: boolean;
}

/** Which logits are wanted of `tokens`, the end of which is the draft: those before and after each drafted token. */
export function rowsToCheck(tokens: readonly number[], draft: Draft): Outputs {
  const drafted = draft.tokens.length;
  if (drafted === 0) return 'last';
  return Array.from({ length: drafted + 1 }, (_, i) => tokens.length - 1 - drafted + i);
}

/** A draft up to where a token may not come. What was drawn is left as it is: those who draw keep to the constraint. */
export function allowedPart(draft: Draft, constraint: ConstraintRun | undefined): Draft {
  if (constraint === undefined || draft.distributions !== undefined) return draft;
  const run = constraint.fork();
  const wrong = draft.tokens.findIndex((id) => {
    if (!run.allows(id)) return true;
    run.accept(id);
    return false;
  });
  return wrong < 0 ? draft : { tokens: draft.tokens.slice(0, wrong) };
}

/**
 * Chooses a token per row of logits, [draft + 1, vocabSize], for as long as it is the one that was drafted. The
 * constraint follows the chosen tokens.
 */
export function checkDraft(
  { sampler, constraint, stopTokens }: TokenRules,
  logits: Float32Array,
  vocabSize: number,
  history: readonly number[],
  draft: Draft,
): CheckedTokens {
  const text = [...history];
  for (let i = 0; ; i++) {
    const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
    constraint?.mask(row);
    const guess = draft.tokens[i];
    const proposal = draft.distributions?.[i];
    // A certain guess is right as often as it is drawn: that is the rule for a proposal of one token, and draws what
    // there would be without a guess.
    const id =
      guess === undefined || proposal === undefined
        ? sampler.sample(row, text)
        : sampler.sampleDrafted(row, text, guess, proposal);
    text.push(id);
    constraint?.accept(id);
    const ends = stopTokens.has(id) || constraint?.mustEnd === true;
    if (id !== guess || ends) {
      return { tokens: text.slice(history.length), accepted: id === guess ? i + 1 : i, ends };
    }
  }
}
