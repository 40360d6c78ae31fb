import { CriaError } from '../base/errors.js';
import type { TokenModel } from '../model/token-model.js';

/** The part of a tokenizer that evaluation needs. */
export interface EvaluationTokenizer {
  readonly bosId: number | undefined;
  encode(text: string, options: { addBos: boolean; parseSpecial: boolean }): readonly number[];
}

/** A model that can be evaluated on text. */
export type EvaluationModel = TokenModel & { readonly tokenizer: EvaluationTokenizer };

/** Tokens of a text, BOS first, to be cut into windows of `contextSize`. Throws `context-too-small` (usage). */
export function evaluationTokens(
  model: EvaluationModel,
  text: string,
  contextSize: number,
): readonly number[] {
  checkWindowFits(model, contextSize);
  return model.tokenizer.encode(text, { addBos: true, parseSpecial: false });
}

/** Throws `context-too-small` (usage). */
export function checkWindowFits(model: TokenModel, contextSize: number): void {
  if (contextSize <= model.contextSize) return;
  throw new CriaError(
    'usage',
    'context-too-small',
    `windows of ${contextSize} tokens need a context at least as long, found ${model.contextSize}`,
  );
}
