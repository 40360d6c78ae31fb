import { type Grammar, grammarError } from './expression.js';
import type { MatchState } from './match-state.js';
import {
  BYTES,
  CALL,
  compileGrammar,
  END,
  END_STEP,
  type Program,
  SPLIT,
  TOKEN,
  type TokenResolver,
} from './program.js';
import { checkProgram } from './program-checks.js';

/** Most ways in which a text may be understood at once; JSON has one or two. */
const MAX_READINGS = 4096;
/** Steps for one token, or for the tokens that may follow one: a fraction of a second. Then the grammar is at fault. */
const MAX_WORK = 1 << 22;
/** States and stacks kept for another time: a few ten megabytes. */
const MAX_STATES = 1 << 13;
const MAX_STACKS = 1 << 18;

/** Where to go on after the rules that are being matched, innermost first. Equal stacks are one object. */
interface Stack {
  readonly id: number;
  readonly step: number;
  readonly parent: Stack | undefined;
}

/**
 * Matches a grammar byte by byte, without going back: all readings of the text so far are followed at once. Readings
 * are pairs of a step and the stack to return to; sets of them are states, and what a byte does to a state is
 * remembered. Throws kind `usage`: the codes of `compileGrammar` and `checkProgram`; later `grammar-too-ambiguous`.
 */
export class Automaton {
  readonly start: MatchState;
  readonly #program: Program;
  readonly #live: Uint8Array;
  readonly #states = new Map<string, GrammarState>();
  readonly #stacks = new Map<number, Stack>();
  #stackCount = 1;
  #work = 0;

  constructor(grammar: Grammar, resolveToken: TokenResolver) {
    this.#program = compileGrammar(grammar, resolveToken);
    this.#live = checkProgram(this.#program);
    this.start = this.#close([[this.#program.start, { id: 0, step: END_STEP, parent: undefined }]])!;
  }

  /** Says that what follows is for another token. */
  resetWork(): void {
    this.#work = 0;
  }

  /** The state after `byte`. */
  after({ steps, stacks }: GrammarState, byte: number): GrammarState | undefined {
    const { kinds, low, high, next } = this.#program;
    const readings: [number, Stack][] = [];
    this.#spend(steps.length);
    for (const [i, step] of steps.entries()) {
      if (kinds[step] === BYTES && low[step]! <= byte && byte <= high[step]!) {
        readings.push([next[step]!, stacks[i]!]);
      }
    }
    return this.#close(readings);
  }

  /** The state after token `id`, where the grammar names it. */
  afterToken({ steps, stacks }: GrammarState, id: number): GrammarState | undefined {
    const { kinds, low, next } = this.#program;
    const readings: [number, Stack][] = [];
    for (const [i, step] of steps.entries()) {
      if (kinds[step] === TOKEN && low[step] === id) readings.push([next[step]!, stacks[i]!]);
    }
    return this.#close(readings);
  }

  tokensAt({ steps }: GrammarState): number[] {
    const { kinds, low } = this.#program;
    return Array.from(steps).flatMap((step) => (kinds[step] === TOKEN ? [low[step]!] : []));
  }

  /** The state of these readings and all they lead to without taking anything; undefined when there are none. */
  #close(pending: [step: number, stack: Stack][]): GrammarState | undefined {
    const { kinds, next, other } = this.#program;
    const seen = new Set<number>();
    const readings: { key: number; step: number; stack: Stack }[] = [];
    let mayEnd = false;
    for (let reading = pending.pop(); reading !== undefined; reading = pending.pop()) {
      const [step, stack] = reading;
      if (this.#live[step] === 0) continue;
      const key = stack.id * kinds.length + step;
      if (seen.has(key)) continue;
      seen.add(key);
      this.#spend(1);
      switch (kinds[step]) {
        case SPLIT:
          pending.push([next[step]!, stack], [other[step]!, stack]);
          break;
        case CALL:
          pending.push([other[step]!, this.#push(next[step]!, stack)]);
          break;
        case END:
          if (stack.parent === undefined) mayEnd = true;
          else pending.push([stack.step, stack.parent]);
          break;
        default:
          readings.push({ key, step, stack });
      }
      if (seen.size > MAX_READINGS) {
        throw grammarError(
          'grammar-too-ambiguous',
          `expected at most ${MAX_READINGS} ways to read a text, found more`,
        );
      }
    }
    if (readings.length === 0 && !mayEnd) return undefined;
    readings.sort((a, b) => a.key - b.key);
    return this.#state(readings, mayEnd);
  }

  #state(readings: { key: number; step: number; stack: Stack }[], mayEnd: boolean): GrammarState {
    const key = `${mayEnd} ${readings.map((reading) => reading.key).join(' ')}`;
    let state = this.#states.get(key);
    if (state === undefined) {
      const steps = Int32Array.from(readings, ({ step }) => step);
      state = new GrammarState(
        this,
        steps,
        readings.map(({ stack }) => stack),
        mayEnd,
      );
      // Forgotten states stay valid for those who hold them; they are only not found again.
      if (this.#states.size >= MAX_STATES) this.#states.clear();
      this.#states.set(key, state);
    }
    return state;
  }

  /** A call at the end of a rule needs no way back to it: what repeats itself does not grow the stack. */
  #push(step: number, parent: Stack): Stack {
    if (step === END_STEP) return parent;
    const key = parent.id * this.#program.kinds.length + step;
    let stack = this.#stacks.get(key);
    if (stack === undefined) {
      stack = { id: this.#stackCount++, step, parent };
      if (this.#stacks.size >= MAX_STACKS) this.#stacks.clear();
      this.#stacks.set(key, stack);
    }
    return stack;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) {
      throw grammarError('grammar-too-ambiguous', 'expected fewer ways to read a text: this takes too long');
    }
  }
}

class GrammarState implements MatchState {
  readonly mayEnd: boolean;
  readonly isFree = false;
  readonly steps: Int32Array;
  readonly stacks: readonly Stack[];
  readonly #automaton: Automaton;
  /** By byte; null where it cannot come. */
  #next: (GrammarState | null)[] | undefined;

  constructor(automaton: Automaton, steps: Int32Array, stacks: readonly Stack[], mayEnd: boolean) {
    this.#automaton = automaton;
    this.steps = steps;
    this.stacks = stacks;
    this.mayEnd = mayEnd;
  }

  get mustEnd(): boolean {
    return this.steps.length === 0;
  }

  get tokens(): number[] {
    return this.#automaton.tokensAt(this);
  }

  step(byte: number): GrammarState | undefined {
    this.#next ??= new Array<GrammarState | null>(256);
    let next = this.#next[byte];
    if (next === undefined) {
      next = this.#automaton.after(this, byte) ?? null;
      this.#next[byte] = next;
    }
    return next ?? undefined;
  }

  stepToken(id: number): GrammarState | undefined {
    return this.#automaton.afterToken(this, id);
  }
}
