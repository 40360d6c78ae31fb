import { setTimeout as sleep } from 'node:timers/promises';
import { CriaError } from '../base/errors.js';

/** A request that failed in a way that the same request may not: a lost connection, a busy server. */
export class TransientError extends Error {
  /** What the server asked for; undefined when it did not. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, options);
    this.name = 'TransientError';
    this.retryAfterMs = options.retryAfterMs;
  }
}

const ATTEMPTS = 6;
const LONGEST_WAIT_MS = 30_000;
/** A server that asks for more is better asked again by the user. */
const LONGEST_RETRY_AFTER_MS = 300_000;

/** Counts the failures of one piece of work and waits between its attempts, twice as long each time. */
export class Retries {
  readonly #signal: AbortSignal | undefined;
  readonly #firstWaitMs: number;
  #failures = 0;

  constructor(signal: AbortSignal | undefined, firstWaitMs: number) {
    this.#signal = signal;
    this.#firstWaitMs = firstWaitMs;
  }

  /** Something arrived: the next failure is the first again. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** Returns when it is time for another attempt. Throws `error` when it is not transient, or `hub-unreachable`. */
  async waitAfter(error: unknown): Promise<void> {
    if (!(error instanceof TransientError)) throw error;
    this.#failures++;
    const { retryAfterMs = 0 } = error;
    if (this.#failures === ATTEMPTS || retryAfterMs > LONGEST_RETRY_AFTER_MS) {
      const after =
        this.#failures === ATTEMPTS
          ? `after ${ATTEMPTS} attempts`
          : `(it asks to wait ${Math.round(retryAfterMs / 1000)} s)`;
      throw new CriaError(
        'network',
        'hub-unreachable',
        `${error.message} ${after}; the same command goes on where this one stopped`,
        { cause: error },
      );
    }
    const backOff = Math.min(LONGEST_WAIT_MS, this.#firstWaitMs * 2 ** (this.#failures - 1));
    // Spread out, so that connections that failed together do not come back together.
    const wait = Math.max(backOff * (0.5 + Math.random() / 2), retryAfterMs);
    await sleep(wait, undefined, { signal: this.#signal });
  }
}

/** Milliseconds of a `Retry-After` header, which holds seconds or a date. */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
