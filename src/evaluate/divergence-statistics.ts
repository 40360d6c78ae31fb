import type { RowDivergence } from './row-divergence.js';
import { RunningMean } from './running-mean.js';

/** Figures over the scored tokens. Each `…Error` is a standard error; divergences are in nats. */
export interface DivergenceSummary {
  readonly meanKld: number;
  readonly meanKldError: number;
  readonly medianKld: number;
  readonly kld90: number;
  readonly kld95: number;
  readonly kld99: number;
  readonly kld999: number;
  readonly maxKld: number;
  /** Share of positions, in percent, where model and reference prefer the same token. */
  readonly sameTopPercent: number;
  readonly sameTopPercentError: number;
  readonly perplexity: number;
  readonly perplexityError: number;
  readonly referencePerplexity: number;
  readonly referencePerplexityError: number;
  readonly perplexityRatio: number;
  readonly perplexityRatioError: number;
  readonly meanLogPerplexityRatio: number;
  readonly meanLogPerplexityRatioError: number;
  /** Correlation of the two models' log-likelihoods, −1 to 1. */
  readonly logLikelihoodCorrelation: number;
  /** Mean change, in percentage points, of the probability of the token that follows. */
  readonly meanDeltaP: number;
  readonly meanDeltaPError: number;
  /** Root mean square of that change. */
  readonly rmsDeltaP: number;
  readonly tokens: number;
}

/**
 * Gathers what llama-perplexity prints with `--kl-divergence`, token by token. Keeps eight bytes a token, for the
 * percentiles.
 */
export class DivergenceStatistics {
  readonly #klds: Float64Array;
  readonly #kld = new RunningMean();
  readonly #nll = new RunningMean();
  readonly #referenceNll = new RunningMean();
  readonly #nllDifference = new RunningMean();
  readonly #deltaP = new RunningMean();
  readonly #squaredDeltaP = new RunningMean();
  #sameTop = 0;

  /** @param tokens how many rows will be added at most */
  constructor(tokens: number) {
    this.#klds = new Float64Array(tokens);
  }

  add({ kld, nll, referenceNll, sameTop }: RowDivergence): void {
    this.#klds[this.#kld.count] = kld;
    this.#kld.add(kld);
    this.#nll.add(nll);
    this.#referenceNll.add(referenceNll);
    this.#nllDifference.add(nll - referenceNll);
    const deltaP = Math.exp(-nll) - Math.exp(-referenceNll);
    this.#deltaP.add(deltaP);
    this.#squaredDeltaP.add(deltaP * deltaP);
    if (sameTop) this.#sameTop++;
  }

  /** Mean divergence so far, in nats; NaN before the first token. */
  get meanKld(): number {
    return this.#kld.mean;
  }

  summary(): DivergenceSummary {
    const tokens = this.#kld.count;
    const klds = this.#klds.slice(0, tokens).sort();
    const perplexity = Math.exp(this.#nll.mean);
    const referencePerplexity = Math.exp(this.#referenceNll.mean);
    const ratio = Math.exp(this.#nllDifference.mean);
    // Var(x) + Var(y) − 2 Cov(x, y) is Var(x − y): the error of the ratio has the covariance in it.
    const [error, referenceError, ratioError] = [this.#nll, this.#referenceNll, this.#nllDifference].map(
      (mean) => mean.standardError,
    ) as [number, number, number];
    const covariance = (error ** 2 + referenceError ** 2 - ratioError ** 2) / 2;
    const sameTop = this.#sameTop / tokens;
    return {
      meanKld: this.#kld.mean,
      meanKldError: this.#kld.standardError,
      medianKld: percentile(klds, 0.5),
      kld90: percentile(klds, 0.9),
      kld95: percentile(klds, 0.95),
      kld99: percentile(klds, 0.99),
      kld999: percentile(klds, 0.999),
      maxKld: percentile(klds, 1),
      sameTopPercent: 100 * sameTop,
      sameTopPercentError: tokens > 1 ? 100 * Math.sqrt((sameTop * (1 - sameTop)) / (tokens - 1)) : 0,
      perplexity,
      perplexityError: perplexity * error,
      referencePerplexity,
      referencePerplexityError: referencePerplexity * referenceError,
      perplexityRatio: ratio,
      perplexityRatioError: ratio * ratioError,
      meanLogPerplexityRatio: this.#nllDifference.mean,
      meanLogPerplexityRatioError: ratioError,
      logLikelihoodCorrelation: error * referenceError > 0 ? covariance / (error * referenceError) : 1,
      meanDeltaP: 100 * this.#deltaP.mean,
      meanDeltaPError: 100 * this.#deltaP.standardError,
      rmsDeltaP: 100 * Math.sqrt(this.#squaredDeltaP.mean),
      tokens,
    };
  }
}

/** The value below which a share of `sorted` (ascending) lies, interpolated between neighbours; NaN for none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below] ?? Number.NaN;
  const high = sorted[below + 1] ?? low;
  return low + (position - below) * (high - low);
}
