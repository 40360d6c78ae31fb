import { CriaError } from '../base/errors.js';
import type { TokenModel } from '../model/token-model.js';
import type { Tokenizer } from '../model/tokenizer/index.js';
import type { Constraint } from './constraint.js';
import { Sampler } from './sampler.js';
import type { SamplingOptions } from './sampling-options.js';
import { allowedPart, checkDraft, rowsToCheck } from './speculation/check-draft.js';
import { DraftPace } from './speculation/draft-pace.js';
import { type Drafter, NO_DRAFT } from './speculation/drafter.js';
import { StopMatcher } from './stop-matcher.js';
import { type TokenLogprobs, tokenLogprobs } from './token-logprobs.js';

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
  /**
   * Guesses tokens, which the model then checks several at a time: the same text in fewer steps. What the text may be
   * and how probable it is do not change; a drafter that is certain of its tokens does not even change what a seed
   * gives. Both hold for the logits that the model gives for several tokens at once, whose last bits may differ from
   * those for one token.
   */
  drafter?: Drafter;
  /** Tell how likely each token was, and this many of the likeliest in its place (0 for none). */
  logprobs?: number;
  /** Keeps the text to a form; stop tokens come where it may end, and the text ends where nothing more may come. */
  constraint?: Constraint;
  signal?: AbortSignal;
}

/** A generated token and the text that can be shown since the last one (often less or more than the token's own). */
export interface GeneratedToken {
  readonly id: number;
  readonly text: string;
  /** By the model, before sampling and constraints; present when asked for. */
  readonly logprobs?: TokenLogprobs;
}

export interface GenerationSummary {
  /**
   * - `stop`: a stop token, a stop string, or a constraint after which nothing may come
   * - `length`: `maxTokens` were generated
   * - `context`: the context is full
   * - `cancelled`: the signal
   */
  readonly reason: 'stop' | 'length' | 'context' | 'cancelled';
  readonly promptTokens: number;
  /** Prompt tokens that were not evaluated because the cache held them. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  /** Tokens that the drafter guessed, and how many of them became part of the text. */
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
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
  const tokenCount = Math.min(tokenizer.vocabSize, model.vocabSize);
  const sampling = options.ignoreEos ? withoutTokens(options, stopTokens) : options;
  const sampler = new Sampler(sampling, tokenCount);
  const decoder = tokenizer.streamingDecoder({ skipSpecial: !options.showSpecial });
  const matcher = new StopMatcher(options.stop ?? []);

  // Drafters know words only.
  const drafter = promptIds.some((id) => id < 0) ? undefined : options.drafter;
  const draftRun = drafter?.start({
    sampling: { ...sampling, seed: sampler.seed },
    tokenCount,
    stopTokens,
  });

  const constraint = options.constraint?.start(stopTokens);
  const pace = new DraftPace(drafter?.maxTokens ?? 0);
  const history = [...promptIds];
  let evaluated = reusedTokens;
  let drafted = 0;
  let accepted = 0;
  const seconds = { prompt: 0, generation: 0 };
  const summary = (reason: GenerationSummary['reason']): GenerationSummary => ({
    reason,
    promptTokens: promptIds.length,
    reusedTokens,
    generatedTokens: history.length - promptIds.length,
    draftedTokens: drafted,
    acceptedTokens: accepted,
    promptSeconds: seconds.prompt,
    generationSeconds: seconds.generation,
    seed: sampler.seed,
    evaluatedTokens: Math.min(evaluated, history.length),
  });
  /** How many more tokens there may be. */
  const room = () => Math.min(promptIds.length + maxTokens, model.contextSize) - history.length;

  while (room() > 0) {
    const start = performance.now();
    const first = evaluated < promptIds.length;
    const limit = first ? 0 : Math.min(pace.next(), room() - 1);
    const step = await unlessCancelled(signal, async () => {
      const proposed = limit > 0 && (await draftRun?.propose({ history, limit, constraint, signal }));
      const draft = proposed ? allowedPart(proposed, constraint) : NO_DRAFT;
      if (first) await draftRun?.prepare?.(history, signal);
      const tokens = [...history.slice(evaluated), ...draft.tokens];
      return { draft, logits: await model.evaluate(tokens, evaluated, rowsToCheck(tokens, draft), signal) };
    });
    if (step === undefined) return summary('cancelled');
    const { draft, logits } = step;
    // A constraint overwrites logits, which are no longer the model's then.
    const own = options.logprobs !== undefined && constraint ? logits.slice() : logits;
    const chosen = checkDraft({ sampler, constraint, stopTokens }, logits, model.vocabSize, history, draft);
    seconds[first ? 'prompt' : 'generation'] += (performance.now() - start) / 1000;
    evaluated = history.length + chosen.accepted;
    drafted += draft.tokens.length;
    pace.record(draft.tokens.length, chosen.accepted);

    for (const [index, id] of chosen.tokens.entries()) {
      if (signal?.aborted) return summary('cancelled');
      history.push(id);
      if (index < chosen.accepted) accepted++;
      const isStop = stopTokens.has(id);
      const isEnd = isStop || (chosen.ends && index === chosen.tokens.length - 1);
      const isLast = isEnd || room() === 0;
      const { text, stopped } = matcher.push(
        (isStop ? '' : decoder.push(id)) + (isLast ? decoder.flush() : ''),
      );
      const row = own.subarray(index * model.vocabSize, (index + 1) * model.vocabSize);
      yield {
        id,
        text: isLast && !stopped ? text + matcher.flush() : text,
        ...(options.logprobs !== undefined && { logprobs: tokenLogprobs(row, id, options.logprobs) }),
      };
      if (isEnd || stopped) return summary('stop');
    }
  }
  return summary(history.length - promptIds.length >= maxTokens ? 'length' : 'context');
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

function withoutTokens(options: GenerateOptions, banned: ReadonlySet<number>): GenerateOptions {
  const biases = Array.from(banned, (id): [number, number] => [id, -Infinity]);
  return { ...options, logitBias: new Map([...(options.logitBias ?? []), ...biases]) };
}

/** What the work gives; undefined when the signal stopped it, or came before it. */
async function unlessCancelled<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T | undefined> {
  if (signal?.aborted) return undefined;
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted && error instanceof CriaError && error.kind === 'cancelled') return undefined;
    throw error;
  }
}

function badOption(name: string, expected: string, found: number): CriaError {
  return new CriaError('usage', 'bad-generation-option', `${name}: expected ${expected}, found ${found}`);
}
