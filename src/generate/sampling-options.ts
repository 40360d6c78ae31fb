import { CriaError } from '../base/errors.js';

/** How the next token is chosen. What is left out has the value of `DEFAULT_SAMPLING`. */
export interface SamplingOptions {
  /** Logits are divided by it; 0 takes the most likely token (the lowest id of equals). */
  temperature?: number;
  /** Only this many most likely tokens; 0: all. */
  topK?: number;
  /** Only the most likely tokens that together have at least this probability; 1: all. */
  topP?: number;
  /** Only tokens at least this many times as likely as the most likely one; 0: all. */
  minP?: number;
  /** Divides positive and multiplies negative logits of recent tokens; 1: off. */
  repeatPenalty?: number;
  /** How many of the last tokens, prompt included, the three penalties look at; −1: all. */
  repeatLastN?: number;
  /** Subtracted from the logits of recent tokens. */
  presencePenalty?: number;
  /** Subtracted from the logits of recent tokens for each time they occur. */
  frequencyPenalty?: number;
  /** Added to the logits of these tokens before all else; −Infinity bans a token. */
  logitBias?: ReadonlyMap<number, number>;
  /** Integer from 0 to 2^53 − 1; the same seed gives the same text. Left out: a random one. */
  seed?: number;
}

export type ResolvedSampling = Required<Omit<SamplingOptions, 'seed'>>;

/** Recommended for Llama 4: temperature and top-p of its generation_config.json, and a min-p that cuts the tail. */
export const DEFAULT_SAMPLING: ResolvedSampling = {
  temperature: 0.6,
  topK: 0,
  topP: 0.9,
  minP: 0.01,
  repeatPenalty: 1,
  repeatLastN: 64,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
};

/** Fills in the defaults. Throws `bad-sampling-option` (kind `usage`) for a value out of its range. */
export function resolveSampling(options: SamplingOptions): ResolvedSampling {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const resolved: ResolvedSampling = { ...DEFAULT_SAMPLING, ...Object.fromEntries(given) };
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastN } = resolved;
  check('temperature', temperature, temperature >= 0 && Number.isFinite(temperature), 'a number from 0 up');
  check('topK', topK, Number.isInteger(topK) && topK >= 0, 'an integer from 0 up');
  check('topP', topP, topP >= 0 && topP <= 1, 'a number from 0 to 1');
  check('minP', minP, minP >= 0 && minP <= 1, 'a number from 0 to 1');
  check(
    'repeatPenalty',
    repeatPenalty,
    repeatPenalty > 0 && Number.isFinite(repeatPenalty),
    'a number above 0',
  );
  check(
    'repeatLastN',
    repeatLastN,
    Number.isInteger(repeatLastN) && repeatLastN >= -1,
    'an integer from -1 up',
  );
  for (const name of ['presencePenalty', 'frequencyPenalty'] as const) {
    check(name, resolved[name], Number.isFinite(resolved[name]), 'a number');
  }
  for (const bias of resolved.logitBias.values()) check('logitBias', bias, !Number.isNaN(bias), 'numbers');
  if (options.seed !== undefined) {
    check(
      'seed',
      options.seed,
      Number.isSafeInteger(options.seed) && options.seed >= 0,
      'an integer from 0 up',
    );
  }
  return resolved;
}

function check(name: string, value: number, valid: boolean, expected: string): void {
  if (!valid) {
    throw new CriaError('usage', 'bad-sampling-option', `${name}: expected ${expected}, found ${value}`);
  }
}
