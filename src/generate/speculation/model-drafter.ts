import type { TokenModel } from '../../model/token-model.js';
import { type Distribution, Sampler } from '../sampler.js';
import { badDraftOption, checkDraftOption } from './draft-options.js';
import type { Draft, Drafter, DraftRequest, DraftRules, DraftRun } from './drafter.js';

export interface ModelDrafterOptions {
  /** Most tokens of a draft; default 16. */
  readonly maxTokens?: number;
  /** This many tokens are drafted however unsure the model is; default 0. */
  readonly minTokens?: number;
  /** A draft ends where the likeliest next token is less likely than this; default 0.75. */
  readonly minProbability?: number;
}

/**
 * Drafts with a second, faster model of the same vocabulary. It chooses its tokens by the sampling options of the
 * text, because they then are chosen most often by the model that checks them. Holds the model's one sequence: for
 * one generation at a time. Throws `bad-draft-option`.
 */
export class ModelDrafter implements Drafter {
  readonly maxTokens: number;
  readonly #minTokens: number;
  readonly #minProbability: number;
  readonly #model: TokenModel;
  /** Tokens whose keys and values the model's cache holds, from position 0. */
  readonly #cached: number[] = [];

  constructor(
    model: TokenModel,
    { maxTokens = 16, minTokens = 0, minProbability = 0.75 }: ModelDrafterOptions = {},
  ) {
    if (!(minProbability >= 0 && minProbability <= 1)) {
      throw badDraftOption('minProbability', 'a number from 0 to 1', minProbability);
    }
    this.#model = model;
    this.maxTokens = checkDraftOption('maxTokens', maxTokens, 1);
    this.#minTokens = checkDraftOption('minTokens', minTokens, 0);
    this.#minProbability = minProbability;
  }

  start(rules: DraftRules): DraftRun {
    const sampler = new Sampler(
      { ...rules.sampling, seed: draftSeed(rules.sampling.seed) },
      Math.min(rules.tokenCount, this.#model.vocabSize),
    );
    return {
      prepare: async (history, signal) => {
        if (history.length < this.#model.contextSize) await this.#logitsAfter(history, signal);
      },
      propose: (request) => this.#propose(rules, sampler, request),
    };
  }

  async #propose(
    { stopTokens, tokenCount }: DraftRules,
    sampler: Sampler,
    { history, limit, constraint, signal }: DraftRequest,
  ): Promise<Draft> {
    const run = constraint?.fork();
    const text = [...history];
    const end = Math.min(history.length + limit, this.#model.contextSize);
    const distributions: Distribution[] = [];
    while (text.length < end) {
      const logits = await this.#logitsAfter(text, signal);
      run?.mask(logits);
      // Decided before the token is drawn: leaving out unlikely tokens would change the text's distribution.
      const unsure = largestProbability(logits.subarray(0, tokenCount)) < this.#minProbability;
      if (unsure && text.length - history.length >= this.#minTokens) break;
      const { id, distribution } = sampler.draw(logits, text);
      text.push(id);
      run?.accept(id);
      distributions.push(distribution);
      if (stopTokens.has(id) || run?.mustEnd) break;
    }
    return { tokens: text.slice(history.length), distributions };
  }

  async #logitsAfter(text: readonly number[], signal: AbortSignal | undefined): Promise<Float32Array> {
    const cached = this.#cached;
    let position = 0;
    while (position < Math.min(cached.length, text.length - 1) && cached[position] === text[position])
      position++;
    cached.length = position;
    const tokens = text.slice(position);
    const logits = await this.#model.evaluate(tokens, position, 'last', signal);
    for (const token of tokens) cached.push(token);
    return logits;
  }
}

/** Draws of the draft have to be independent of those that check it. */
function draftSeed(seed: number | undefined): number | undefined {
  return seed === undefined ? undefined : (seed ^ 0x5bd1e995) >>> 0;
}

function largestProbability(logits: Float32Array): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return 1 / sum;
}
