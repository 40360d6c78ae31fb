import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { SlotPool } from './slots.js';

/** What the server counts, in Prometheus' format. Names of tokens and seconds follow llama-server's. */
export class Metrics {
  readonly registry = new Registry();
  readonly #options = { registers: [this.registry] };
  readonly requests = new Counter({
    ...this.#options,
    name: 'cria_requests_total',
    help: 'Requests answered, by path and status',
    labelNames: ['path', 'status'] as const,
  });
  readonly promptTokens = new Counter({
    ...this.#options,
    name: 'cria_prompt_tokens_total',
    help: 'Prompt tokens, those found in the cache included',
  });
  readonly cachedTokens = new Counter({
    ...this.#options,
    name: 'cria_cached_prompt_tokens_total',
    help: 'Prompt tokens that were found in the cache',
  });
  readonly generatedTokens = new Counter({
    ...this.#options,
    name: 'cria_tokens_predicted_total',
    help: 'Generated tokens',
  });
  readonly firstToken = new Histogram({
    ...this.#options,
    name: 'cria_first_token_seconds',
    help: 'From a request to its first token',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  });
  readonly tokenTime = new Histogram({
    ...this.#options,
    name: 'cria_token_seconds',
    help: 'Mean time of a generated token, by answer',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
  });

  /** Adds what is true at the moment of asking. */
  watch(slots: SlotPool): void {
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        ...this.#options,
        name,
        help,
        collect() {
          this.set(read());
        },
      });
    gauge('cria_requests_processing', 'Answers being made', () => slots.busy);
    gauge('cria_requests_deferred', 'Requests that wait for a slot', () => slots.waiting);
    gauge('cria_slots', 'Answers that can be made at once', () => slots.total);
    gauge('cria_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  }
}
