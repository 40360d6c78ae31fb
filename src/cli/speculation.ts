import { CriaError } from '../base/errors.js';
import type { LoadOptions, Model } from '../generate/load-model.js';
import type { Drafter } from '../generate/speculation/drafter.js';
import { loadDraftModel } from '../generate/speculation/load-draft-model.js';
import { LookupDrafter } from '../generate/speculation/lookup-drafter.js';
import { ModelDrafter } from '../generate/speculation/model-drafter.js';
import { choice, decimal, integer, type OptionValues, text } from './options.js';

const group = 'Speculation (the same text in fewer steps)';

// llama.cpp has had two names for each of these.
export const SPECULATION_OPTIONS = {
  draftModel: text(['-md', '--model-draft', '--draft-model', '--spec-draft-model'], 'MODEL', {
    group,
    help: 'a smaller model of the same vocabulary that guesses tokens, which MODEL checks several at a time',
  }),
  specType: choice(['--spec-type'], ['none', 'ngram-simple'], {
    group,
    initial: 'none',
    help: 'ngram-simple guesses that what followed the last tokens before follows again: for code, quotations, lists',
  }),
  ngramSize: integer(['--spec-ngram-size-n', '--spec-ngram-simple-size-n'], {
    group,
    initial: 3,
    min: 1,
    max: 1024,
    help: 'with ngram-simple, how many last tokens have to have occurred before',
  }),
  draftMax: integer(['--draft-max', '--draft', '--draft-n', '--spec-draft-n-max'], {
    group,
    initial: 16,
    min: 1,
    max: 1024,
    help: 'tokens to guess at most before they are checked',
  }),
  draftMin: integer(['--draft-min', '--draft-n-min', '--spec-draft-n-min'], {
    group,
    initial: 0,
    min: 0,
    max: 1024,
    help: 'tokens to guess at least, or none',
  }),
  draftMinProbability: decimal(['--draft-p-min', '--spec-draft-p-min'], {
    group,
    initial: 0.75,
    min: 0,
    max: 1,
    help: 'the draft model stops guessing when its likeliest token is less likely than this',
  }),
} as const;

type SpeculationValues = OptionValues<typeof SPECULATION_OPTIONS>;

/** Throws `conflicting-options`. */
export function checkSpeculation({ draftModel, specType }: SpeculationValues): void {
  if (draftModel !== undefined && specType !== 'none') {
    throw new CriaError(
      'usage',
      'conflicting-options',
      'expected --model-draft or --spec-type ngram-simple, found both',
    );
  }
}

export interface OpenDrafter {
  readonly drafter: Drafter | undefined;
  close(): Promise<void>;
}

/** What guesses tokens for `model`, if anything is to. */
export async function openDrafter(
  values: SpeculationValues,
  model: Model,
  options: Omit<LoadOptions, 'contextSize'>,
): Promise<OpenDrafter> {
  const { draftMax: maxTokens, draftMin: minTokens, draftMinProbability: minProbability, ngramSize } = values;
  if (values.draftModel !== undefined) {
    const draftModel = await loadDraftModel(values.draftModel, model, options);
    return {
      drafter: new ModelDrafter(draftModel, { maxTokens, minTokens, minProbability }),
      close: () => draftModel.close(),
    };
  }
  const drafter =
    values.specType === 'ngram-simple' ? new LookupDrafter({ ngramSize, maxTokens, minTokens }) : undefined;
  return { drafter, close: async () => {} };
}
