// The words that threads share to meet each other, in one SharedArrayBuffer of 32-bit integers.

const ARRIVED = 0;
const GENERATION = 1;
const SLEEPERS = 2;
const FAILED = 3;
const STEP = 4;
const DONE = 5;
const FINISHED = 6;
/** The step's command starts on a cache line of its own. */
const COMMAND = 16;

/** How often a barrier looks before it sleeps: about 20 µs, longer than the usual wait within a step. */
const SPINS = 4000;

/** Thrown in a lane when another lane failed; carries no information of its own. */
export class LaneAborted extends Error {}

/** Step number that tells workers to end. */
export const STOP = -1;

export function createControl(commandWords: number): SharedArrayBuffer {
  return new SharedArrayBuffer((COMMAND + commandWords) * 4);
}

/** One thread's handle on the control words. */
export class Control {
  readonly command: Int32Array;
  readonly #words: Int32Array;
  readonly #lanes: number;

  constructor(buffer: SharedArrayBuffer, lanes: number) {
    this.#words = new Int32Array(buffer);
    this.command = this.#words.subarray(COMMAND);
    this.#lanes = lanes;
  }

  /** Waits until every lane has arrived. Memory written before is visible to all lanes after. */
  barrier(): void {
    const words = this.#words;
    const generation = Atomics.load(words, GENERATION);
    if (Atomics.add(words, ARRIVED, 1) === this.#lanes - 1) {
      Atomics.store(words, ARRIVED, 0);
      Atomics.add(words, GENERATION, 1);
      if (Atomics.load(words, SLEEPERS) > 0) Atomics.notify(words, GENERATION);
    } else {
      for (let spin = 0; spin < SPINS; spin++) {
        if (Atomics.load(words, GENERATION) !== generation) break;
      }
      while (Atomics.load(words, GENERATION) === generation) {
        Atomics.add(words, SLEEPERS, 1);
        Atomics.wait(words, GENERATION, generation);
        Atomics.sub(words, SLEEPERS, 1);
      }
    }
    if (Atomics.load(words, FAILED) !== 0) throw new LaneAborted();
  }

  /** Marks the step as failed and frees lanes that wait for this one. */
  fail(): void {
    Atomics.store(this.#words, FAILED, 1);
    Atomics.add(this.#words, GENERATION, 1);
    Atomics.notify(this.#words, GENERATION);
  }

  /** Blocks a worker until a step other than `previous` is announced, and returns its number. */
  nextStep(previous: number): number {
    Atomics.wait(this.#words, STEP, previous);
    return Atomics.load(this.#words, STEP);
  }

  /** A worker has done its part of `step`; the last one wakes the main thread. */
  finish(step: number): void {
    if (Atomics.add(this.#words, FINISHED, 1) === this.#lanes - 1) {
      Atomics.store(this.#words, FINISHED, 0);
      Atomics.store(this.#words, DONE, step);
      Atomics.notify(this.#words, DONE);
    }
  }

  /** Announces a step (or STOP) to the workers. */
  start(step: number): void {
    Atomics.store(this.#words, STEP, step);
    Atomics.notify(this.#words, STEP);
  }

  /** Resolves when every worker has finished `step`, without blocking the event loop. */
  async done(step: number): Promise<void> {
    for (;;) {
      const current = Atomics.load(this.#words, DONE);
      if (current === step) return;
      const wait = Atomics.waitAsync(this.#words, DONE, current);
      if (wait.async) await wait.value;
    }
  }
}
