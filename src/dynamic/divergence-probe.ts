import { CriaError } from '../base/errors.js';
import { expNegative } from '../base/exp-negative.js';
import type { TokenModel } from '../model/token-model.js';

export interface ProbeOptions {
  /** Tokens per window; default 512. */
  readonly contextSize?: number;
  /** Predictions compared, about; default 4096, fewer where that many logits would take more than 1 GiB. */
  readonly positions?: number;
  readonly bosId?: number;
  readonly signal?: AbortSignal;
}

/** Logits kept of the unchanged model, as floats. */
const MAX_LOGITS = 2 ** 28;
/** Predictions of a window that are compared; the others only give context. */
export const SCORED_SHARE = 0.75;

interface Window {
  readonly ids: readonly number[];
  /** Positions whose predictions are compared, ascending. */
  readonly scored: readonly number[];
  /** Probabilities `[scored][vocab]` of the unchanged model. */
  readonly probabilities: Float32Array;
  /** Σ p·log p at each scored position, in nats. */
  readonly negativeEntropies: Float64Array;
}

/**
 * Measures how far a model's predictions have moved from what they were when the probe was made: the mean
 * Kullback–Leibler divergence, in nats, over fixed positions of a text. All measurements see the same tokens, so
 * that their differences are far more exact than the sampling of the text.
 */
export class DivergenceProbe {
  readonly #model: TokenModel;
  readonly #windows: readonly Window[];
  /** Predictions compared. */
  readonly positions: number;

  private constructor(model: TokenModel, windows: readonly Window[]) {
    this.#model = model;
    this.#windows = windows;
    this.positions = windows.reduce((sum, { scored }) => sum + scored.length, 0);
  }

  /**
   * @param ids tokens of the whole text, of which windows spread evenly are used. Throws `text-too-short` (usage)
   * when it does not fill one.
   */
  static async create(
    model: TokenModel,
    ids: readonly number[],
    options: ProbeOptions = {},
  ): Promise<DivergenceProbe> {
    const { signal, bosId } = options;
    const contextSize = Math.min(options.contextSize ?? 512, model.contextSize);
    const available = Math.floor(ids.length / contextSize);
    if (available < 1) {
      throw new CriaError(
        'usage',
        'text-too-short',
        `expected a text of at least ${contextSize} tokens (one window), found ${ids.length}`,
      );
    }
    const most = Math.max(1, Math.floor(MAX_LOGITS / model.vocabSize));
    const wanted = Math.min(options.positions ?? 4096, most);
    const perWindow = Math.max(1, Math.floor(contextSize * SCORED_SHARE));
    const count = Math.min(available, Math.ceil(wanted / perWindow));
    const scored = spread(contextSize - perWindow, contextSize, Math.ceil(wanted / count));
    const windows: Window[] = [];
    for (let i = 0; i < count; i++) {
      const start = Math.floor((i * available) / count) * contextSize;
      const window = ids.slice(start, start + contextSize);
      if (bosId !== undefined) window[0] = bosId;
      const logits = await model.evaluate(window, 0, scored, signal);
      windows.push({ ids: window, scored, ...distributions(logits, model.vocabSize) });
    }
    return new DivergenceProbe(model, windows);
  }

  /** Mean divergence of the model as it is now from the unchanged one, in nats. */
  async meanKld(signal?: AbortSignal): Promise<number> {
    const vocab = this.#model.vocabSize;
    let sum = 0;
    for (const { ids, scored, probabilities, negativeEntropies } of this.#windows) {
      const logits = await this.#model.evaluate(ids, 0, scored, signal);
      for (let i = 0; i < scored.length; i++) {
        const row = logits.subarray(i * vocab, (i + 1) * vocab);
        const reference = probabilities.subarray(i * vocab, (i + 1) * vocab);
        sum += negativeEntropies[i]! - expectedLogProbability(reference, row);
      }
    }
    return sum / this.positions;
  }
}

/** Up to `count` integers spread evenly over [start, end). */
function spread(start: number, end: number, count: number): number[] {
  const taken = Math.min(count, end - start);
  return Array.from({ length: taken }, (_, i) => start + Math.floor((i * (end - start)) / taken));
}

/** log Σ exp(logits), in double precision. */
function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  let sum = 0;
  for (const logit of logits) sum += expNegative(logit - max);
  return max + Math.log(sum);
}

function distributions(
  logits: Float32Array,
  vocab: number,
): { probabilities: Float32Array; negativeEntropies: Float64Array } {
  const probabilities = new Float32Array(logits.length);
  const negativeEntropies = new Float64Array(logits.length / vocab);
  for (let i = 0; i < negativeEntropies.length; i++) {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    const target = probabilities.subarray(i * vocab, (i + 1) * vocab);
    const total = logSumExp(row);
    for (let id = 0; id < vocab; id++) target[id] = Math.exp(row[id]! - total);
    // With the rounded probabilities, so that an unchanged model has a divergence of zero.
    negativeEntropies[i] = expectedLogProbability(target, row);
  }
  return { probabilities, negativeEntropies };
}

/** Σ p·log softmax(logits). */
function expectedLogProbability(probabilities: Float32Array, logits: Float32Array): number {
  const total = logSumExp(logits);
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += probabilities[id]! * (logits[id]! - total);
  return sum;
}
