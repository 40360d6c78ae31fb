export {
  type EvaluationTokenizer,
  evaluatePerplexity,
  type PerplexityOptions,
  type PerplexityResult,
  scoreWindow,
} from './perplexity.js';
export { type TextWindow, textWindows } from './text-windows.js';
