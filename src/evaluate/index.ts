export { BaseFile } from './base-file.js';
export {
  type DivergenceOptions,
  type DivergenceResult,
  evaluateDivergence,
  evaluateDivergenceFromBase,
  writeBaseFile,
} from './divergence.js';
export type { EvaluationModel, EvaluationTokenizer } from './evaluation-model.js';
export {
  evaluatePerplexity,
  type PerplexityOptions,
  type PerplexityResult,
  scoreWindow,
} from './perplexity.js';
export { type TextWindow, textWindows } from './text-windows.js';
