import type { Guard } from './events.js';

interface Timer {
  readonly id: number;
  readonly run: () => unknown;
  readonly every: number | undefined;
  due: number;
}

export const FRAME_MS = 1000 / 60;
/** Of intervals and of timeouts; a callback that sets itself again must let time pass. */
const SHORTEST_INTERVAL_MS = 4;
const SHORTEST_TIMEOUT_MS = 1;
const MAX_TIMERS = 10_000;

/** Time that passes only when it is told to, in milliseconds since the program started. */
export class Clock {
  now = 0;
  readonly #guard: Guard;
  #lastId = 0;
  #timers: Timer[] = [];
  #frames = new Map<number, (time: number) => unknown>();

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  setTimer(callback: unknown, delay: unknown, args: readonly unknown[], repeat: boolean): number {
    if (typeof callback !== 'function') throw new TypeError('a timer needs a function');
    if (this.#timers.length >= MAX_TIMERS) throw new RangeError(`more than ${MAX_TIMERS} timers wait`);
    const wait = Math.max(Number(delay) || 0, repeat ? SHORTEST_INTERVAL_MS : SHORTEST_TIMEOUT_MS);
    const id = ++this.#lastId;
    const run = () => callback(...args);
    this.#timers.push({ id, run, every: repeat ? wait : undefined, due: this.now + wait });
    return id;
  }

  clearTimer(id: unknown): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }

  requestFrame(callback: unknown): number {
    if (typeof callback !== 'function') throw new TypeError('requestAnimationFrame needs a function');
    this.#frames.set(++this.#lastId, callback as (time: number) => unknown);
    return this.#lastId;
  }

  cancelFrame(id: unknown): void {
    this.#frames.delete(id as number);
  }

  /** One sixtieth of a second: the timers due in it, in order, then the animation frame. */
  advance(): void {
    const end = this.now + FRAME_MS;
    for (let next = this.#nextDue(end); next; next = this.#nextDue(end)) {
      this.now = Math.max(this.now, next.due);
      if (next.every === undefined) this.clearTimer(next.id);
      else next.due = this.now + next.every;
      this.#guard(next.run);
    }
    this.now = end;
    const frames = [...this.#frames];
    for (const [id, callback] of frames) {
      if (!this.#frames.delete(id)) continue;
      this.#guard(() => callback(this.now));
    }
  }

  #nextDue(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.due < end && (next === undefined || timer.due < next.due)) next = timer;
    }
    return next;
  }
}
