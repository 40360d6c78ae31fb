import type { GenerateOptions, SamplingOptions } from '../generate/index.js';
import { badRequest } from './api-error.js';
import type { SamplingFields } from './schemas.js';

const MAX_LOGIT_BIASES = 4096;

/** The sampling fields of a request as options; what it leaves out is taken from `defaults`. */
export function generationOptions(
  body: SamplingFields & { readonly max_completion_tokens?: number | null | undefined },
  defaults: SamplingOptions,
): GenerateOptions {
  const { stop, top_k: topK } = body;
  return {
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    temperature: body.temperature ?? defaults.temperature,
    topK: topK === -1 ? 0 : (topK ?? defaults.topK),
    topP: body.top_p ?? defaults.topP,
    minP: body.min_p ?? defaults.minP,
    repeatPenalty: body.repeat_penalty ?? defaults.repeatPenalty,
    repeatLastN: body.repeat_last_n ?? defaults.repeatLastN,
    presencePenalty: body.presence_penalty ?? defaults.presencePenalty,
    frequencyPenalty: body.frequency_penalty ?? defaults.frequencyPenalty,
    logitBias: logitBias(body.logit_bias),
    seed: seedOf(body.seed) ?? defaults.seed,
    stop: typeof stop === 'string' ? [stop] : (stop ?? undefined),
    ignoreEos: body.ignore_eos ?? undefined,
  };
}

/** Seeds below 0 ask for another text each time, as in llama.cpp. */
function seedOf(seed: number | null | undefined): number | undefined {
  return typeof seed === 'number' && seed >= 0 ? seed : undefined;
}

function logitBias(
  given: Readonly<Record<string, number>> | null | undefined,
): Map<number, number> | undefined {
  if (!given) return undefined;
  const entries = Object.entries(given);
  if (entries.length > MAX_LOGIT_BIASES) {
    throw badRequest('bad-logit-bias', `expected at most ${MAX_LOGIT_BIASES} tokens`, 'logit_bias');
  }
  return new Map(
    entries.map(([key, bias]) => {
      if (!/^\d{1,9}$/.test(key)) {
        throw badRequest(
          'bad-logit-bias',
          `expected token ids as keys, found '${key.slice(0, 40)}'`,
          'logit_bias',
        );
      }
      // OpenAI's −100 means never.
      return [Number(key), bias <= -100 ? -Infinity : bias];
    }),
  );
}
