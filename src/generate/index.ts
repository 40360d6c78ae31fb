export type { Constraint, ConstraintRun } from './constraint.js';
export {
  type GeneratedToken,
  type GenerateOptions,
  type GenerationSummary,
  type GenerationTokenizer,
  generate,
} from './generate.js';
export {
  type Grammar,
  jsonObjectGrammar,
  jsonSchemaGrammar,
  parseGbnf,
  rebaseReferences,
  TokenGrammar,
  type Triggers,
} from './grammar/index.js';
export { type Distribution, Sampler } from './sampler.js';
export { DEFAULT_SAMPLING, type SamplingOptions } from './sampling-options.js';
export type { Draft, Drafter, DraftRules, DraftRun } from './speculation/drafter.js';
export { LookupDrafter, type LookupOptions } from './speculation/lookup-drafter.js';
export { ModelDrafter, type ModelDrafterOptions } from './speculation/model-drafter.js';
export { StopMatcher, type StopStep } from './stop-matcher.js';
export type { TokenLogprob, TokenLogprobs } from './token-logprobs.js';
