import { CriaError } from '../base/errors.js';
import type { SequenceModel, SequencePart } from './sequence-model.js';
import { outputRows } from './sequence-state.js';
import type { Outputs, TokenModel } from './token-model.js';

/** Runs of at most this many tokens are generation (one token, or a few guessed ones); longer ones are prompts. */
const GENERATION_TOKENS = 16;
/** Prompt tokens of a step in which others generate: what they wait for between two tokens. */
const PROMPT_TOKENS_BESIDE_GENERATION = 256;

/** A run of tokens that somebody waits for. */
interface Job {
  readonly sequence: number;
  readonly tokens: Int32Array;
  readonly position: number;
  /** Ascending indices that give logits. */
  readonly rows: readonly number[];
  readonly logits: Float32Array;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (logits: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  /** Tokens computed, and rows answered, so far. */
  done: number;
  answered: number;
}

/**
 * Lets several users of one model each work with a sequence as if they were alone, and computes what they ask for
 * together, a step at a time. In every step those that generate come first; prompts take turns at the room that is
 * left, so that a long one holds nobody up.
 */
export class ContinuousBatch {
  readonly #model: SequenceModel;
  readonly #batchSize: number;
  #jobs: Job[] = [];
  #running = false;

  /** @param batchSize most tokens of a step */
  constructor(model: SequenceModel, batchSize: number) {
    this.#model = model;
    this.#batchSize = batchSize;
  }

  /** One sequence as a model of its own. It answers one call at a time. */
  sequence(sequence: number): TokenModel {
    const { vocabSize, contextSize } = this.#model;
    return {
      vocabSize,
      contextSize,
      evaluate: (tokens, position, outputs, signal) =>
        this.#evaluate({ sequence, tokens, position, outputs }, signal),
    };
  }

  #evaluate(
    { sequence, tokens, position, outputs }: SequencePart & { outputs: Outputs },
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const rows = outputRows(outputs, tokens.length);
      this.#jobs.push({
        sequence,
        tokens: Int32Array.from(tokens),
        position,
        rows,
        logits: new Float32Array(rows.length * this.#model.vocabSize),
        signal,
        resolve,
        reject,
        done: 0,
        answered: 0,
      });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#jobs.length > 0) {
      // Whoever got a token in the last step chooses the next one now, and so is in time for the next step.
      await new Promise((next) => setImmediate(next));
      this.#dropCancelled();
      await this.#step();
    }
    this.#running = false;
  }

  #dropCancelled(): void {
    const cancelled = this.#jobs.filter(({ signal }) => signal?.aborted);
    if (cancelled.length === 0) return;
    this.#jobs = this.#jobs.filter(({ signal }) => !signal?.aborted);
    for (const { reject } of cancelled) {
      reject(new CriaError('cancelled', 'cancelled', 'the evaluation was cancelled'));
    }
  }

  async #step(): Promise<void> {
    const shares = shareStep(
      this.#jobs.map(({ tokens, done }) => tokens.length - done),
      this.#batchSize,
    );
    const chosen = this.#jobs.flatMap((job, i) => (shares[i]! > 0 || job.tokens.length === 0 ? [job] : []));
    if (chosen.length === 0) return;
    const counts = this.#jobs.flatMap((job, i) => (chosen.includes(job) ? [shares[i]!] : []));
    const parts = chosen.map((job, i) => nextPart(job, counts[i]!));
    try {
      const answers = await this.#model.evaluateBatch(parts);
      for (const [i, job] of chosen.entries()) this.#advance(job, counts[i]!, answers[i]!);
    } catch (error) {
      // One bad part fails the call before anything is computed: each is tried alone, and the bad one alone fails.
      if (chosen.length === 1) this.#fail(chosen[0]!, error);
      else for (const [i, job] of chosen.entries()) await this.#alone(job, counts[i]!);
    }
    // Those that were served go behind those that were not.
    const unserved = this.#jobs.filter((job) => !chosen.includes(job));
    this.#jobs = [...unserved, ...this.#jobs.filter((job) => chosen.includes(job))];
  }

  async #alone(job: Job, count: number): Promise<void> {
    try {
      const [answer] = await this.#model.evaluateBatch([nextPart(job, count)]);
      this.#advance(job, count, answer!);
    } catch (error) {
      this.#fail(job, error);
    }
  }

  #advance(job: Job, count: number, logits: Float32Array): void {
    job.logits.set(logits, job.answered * this.#model.vocabSize);
    job.answered += logits.length / this.#model.vocabSize;
    job.done += count;
    if (job.done < job.tokens.length) return;
    this.#jobs = this.#jobs.filter((other) => other !== job);
    job.resolve(job.logits);
  }

  #fail(job: Job, error: unknown): void {
    this.#jobs = this.#jobs.filter((other) => other !== job);
    job.reject(error);
  }
}

/**
 * How many of each job's remaining tokens go into a step of `batchSize`. Jobs with few tokens left come first, then
 * prompts in order, which get less while others generate. Pure.
 */
export function shareStep(remaining: readonly number[], batchSize: number): number[] {
  const shares = remaining.map(() => 0);
  let room = batchSize;
  let generating = false;
  for (const [i, tokens] of remaining.entries()) {
    if (tokens > GENERATION_TOKENS || tokens > room) continue;
    shares[i] = tokens;
    room -= tokens;
    generating = true;
  }
  if (generating) room = Math.min(room, PROMPT_TOKENS_BESIDE_GENERATION);
  for (const [i, tokens] of remaining.entries()) {
    if (shares[i]! > 0) continue;
    shares[i] = Math.min(tokens, room);
    room -= shares[i]!;
  }
  return shares;
}

function nextPart(job: Job, count: number): SequencePart {
  const { sequence, tokens, position, rows, done } = job;
  const outputs = rows.filter((row) => row >= done && row < done + count).map((row) => row - done);
  return { sequence, tokens: tokens.subarray(done, done + count), position: position + done, outputs };
}
