export {
  type GeneratedToken,
  type GenerateOptions,
  type GenerationSummary,
  type GenerationTokenizer,
  generate,
} from './generate.js';
export { type Distribution, Sampler } from './sampler.js';
export { DEFAULT_SAMPLING, type SamplingOptions } from './sampling-options.js';
export { StopMatcher, type StopStep } from './stop-matcher.js';
