import { CriaError } from '../base/errors.js';
import type { TokenModel } from '../model/token-model.js';
import type { Tokenizer } from '../model/tokenizer/index.js';
import { Sampler } from './sampler.js';
import type { SamplingOptions } from './sampling-options.js';
import { StopMatcher } from './stop-matcher.js';

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate, a stop token included. Left out: as many as the context holds. */
  maxTokens?: number;
  /** Texts that end the generation; they are not part of its text. */
  stop?: readonly string[];
  /** Tokens that end the generation. Left out: the tokenizer's. */
  stopTokens?: readonly number[];
  /** Ban the stop tokens, so that only length ends the generation. */
  ignoreEos?: boolean;
  /** Show control tokens in the text. Default false. */
  showSpecial?: boolean;
  /**
   * How many of the first prompt tokens the model's cache already holds, from an evaluation of the same tokens at the
   * same positions. Default 0.
   */
  cachedTokens?: number;
  signal?: AbortSignal;
}

/** A generated token and the text that can be shown since the last one (often less or more than the token's own). */
export interface GeneratedToken {
  readonly id: number;
  readonly text: string;
}

export interface GenerationSummary {
  /**
   * - `stop`: a stop token or a stop string
   * - `length`: `maxTokens` were generated
   * - `context`: the context is full
   * - `cancelled`: the signal
   */
  readonly reason: 'stop' | 'length' | 'context' | 'cancelled';
  readonly promptTokens: number;
  /** Prompt tokens that were not evaluated because the cache held them. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  readonly promptSeconds: number;
  /** Spent on the tokens after the first, whose logits come with the prompt. The consumer's time is not counted. */
  readonly generationSeconds: number;
  readonly seed: number;
  /** Tokens, of prompt and answer, that the cache holds now: `cachedTokens` for a next prompt beginning with them. */
  readonly evaluatedTokens: number;
}

/** What generation needs of a tokenizer. */
export type GenerationTokenizer = Pick<Tokenizer, 'vocabSize' | 'stopIds' | 'streamingDecoder'>;

/**
 * Continues a prompt token by token. Every generated token is yielded, the stop token too (with the text still held
 * back, if any); on cancellation held-back text is dropped. Prompt and generated tokens together fill at most the
 * model's context. Throws kind `usage`: `empty-prompt`, `prompt-too-long`, `bad-sampling-option`,
 * `bad-generation-option`, `empty-stop-string`.
 */
export async function* generate(
  model: TokenModel,
  tokenizer: GenerationTokenizer,
  promptIds: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, GenerationSummary, void> {
  checkPrompt(model, promptIds);
  const { maxTokens = Infinity, signal } = options;
  if (!(maxTokens === Infinity || Number.isInteger(maxTokens)) || maxTokens < 0) {
    throw badOption('maxTokens', 'an integer from 0 up', maxTokens);
  }
  const reusedTokens = usableCache(options.cachedTokens ?? 0, promptIds.length);
  const stopTokens = new Set(options.stopTokens ?? tokenizer.stopIds);
  const sampler = createSampler(options, stopTokens, Math.min(tokenizer.vocabSize, model.vocabSize));
  const decoder = tokenizer.streamingDecoder({ skipSpecial: !options.showSpecial });
  const matcher = new StopMatcher(options.stop ?? []);

  const history = [...promptIds];
  let evaluated = reusedTokens;
  const seconds = { prompt: 0, generation: 0 };
  const summary = (reason: GenerationSummary['reason']): GenerationSummary => ({
    reason,
    promptTokens: promptIds.length,
    reusedTokens,
    generatedTokens: history.length - promptIds.length,
    promptSeconds: seconds.prompt,
    generationSeconds: seconds.generation,
    seed: sampler.seed,
    evaluatedTokens: evaluated,
  });
  const exhausted = (): 'length' | 'context' | undefined => {
    if (history.length - promptIds.length >= maxTokens) return 'length';
    return history.length >= model.contextSize ? 'context' : undefined;
  };

  let end: GenerationSummary['reason'] | undefined = exhausted();
  while (end === undefined) {
    if (signal?.aborted) return summary('cancelled');
    const start = performance.now();
    const logits = await evaluateUnlessCancelled(model, history.slice(evaluated), evaluated, signal);
    if (logits === undefined) return summary('cancelled');
    const phase = evaluated < promptIds.length ? 'prompt' : 'generation';
    evaluated = history.length;
    const id = sampler.sample(logits, history);
    seconds[phase] += (performance.now() - start) / 1000;
    history.push(id);

    const isStop = stopTokens.has(id);
    end = isStop ? 'stop' : exhausted();
    const { text, stopped } = matcher.push((isStop ? '' : decoder.push(id)) + (end ? decoder.flush() : ''));
    if (stopped) end = 'stop';
    yield { id, text: end && !stopped ? text + matcher.flush() : text };
  }
  return summary(end);
}

function checkPrompt(model: TokenModel, promptIds: readonly number[]): void {
  if (promptIds.length === 0) {
    throw new CriaError('usage', 'empty-prompt', 'expected a prompt of at least one token, found none');
  }
  if (promptIds.length > model.contextSize) {
    throw new CriaError(
      'usage',
      'prompt-too-long',
      `expected a prompt of at most ${model.contextSize} tokens (the context size), found ${promptIds.length}`,
    );
  }
}

/** The last prompt token is evaluated even when the cache holds it: its logits are wanted. */
function usableCache(cachedTokens: number, promptLength: number): number {
  if (!Number.isInteger(cachedTokens) || cachedTokens < 0 || cachedTokens > promptLength) {
    throw badOption('cachedTokens', `an integer from 0 to ${promptLength}`, cachedTokens);
  }
  return Math.min(cachedTokens, promptLength - 1);
}

function createSampler(options: GenerateOptions, stopTokens: Set<number>, tokenCount: number): Sampler {
  if (!options.ignoreEos) return new Sampler(options, tokenCount);
  const banned = [...stopTokens].map((id): [number, number] => [id, -Infinity]);
  return new Sampler(
    { ...options, logitBias: new Map([...(options.logitBias ?? []), ...banned]) },
    tokenCount,
  );
}

/** Logits after the tokens; undefined when the signal stopped the evaluation. */
async function evaluateUnlessCancelled(
  model: TokenModel,
  tokens: readonly number[],
  position: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array | undefined> {
  try {
    return await model.evaluate(tokens, position, 'last', signal);
  } catch (error) {
    if (signal?.aborted && error instanceof CriaError && error.kind === 'cancelled') return undefined;
    throw error;
  }
}

function badOption(name: string, expected: string, found: number): CriaError {
  return new CriaError('usage', 'bad-generation-option', `${name}: expected ${expected}, found ${found}`);
}
