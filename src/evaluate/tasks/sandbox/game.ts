import type { Command, Reply, Screen, Thrown } from '../host/window.js';
import type { Program } from '../program.js';
import type { HostFunction, Machine, Outcome, Realm } from './machine.js';

/** The program under test threw, or ran out of time or memory. */
export class ProgramError extends Error {
  /** A time limit or a broken interpreter: nothing more can be asked of it. */
  readonly fatal: boolean;

  constructor(message: string, fatal: boolean) {
    super(message);
    this.name = 'ProgramError';
    this.fatal = fatal;
  }
}

/** A check found something else than it should. */
export class CheckFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CheckFailure';
  }
}

/** What checks use: a running program, its keys, its clock, its screen. All but time stands still between calls. */
export interface Game {
  /** Starts the program anew, with other random numbers. */
  restart(seed?: number): void;
  /** Lets frames of 1/60 s pass; `visit` sees the screen after each, and ends it by returning true. */
  frames(count: number, visit?: (screen: Screen, index: number) => unknown): void;
  keyDown(key: string): void;
  keyUp(key: string): void;
  /** Down, a frame, and up. Keys are named as in `KeyboardEvent.code`, letters and digits by themselves. */
  press(key: string): void;
  /** At a point of the canvas; its middle by default. */
  click(x?: number, y?: number): void;
  screen(): Screen;
  /** Lines written to the console. */
  output(): readonly string[];
  /** The value of an expression in the program, as far as JSON can hold it. */
  value(expression: string): unknown;
  assert(condition: unknown, message: string): asserts condition;
}

export interface GameOptions {
  readonly width: number;
  readonly height: number;
}

/** A program in a realm of its own, driven frame by frame. Every error of the program is thrown as `ProgramError`. */
export class RunningProgram implements Game {
  readonly #machine: Machine;
  readonly #program: Program;
  readonly #options: GameOptions;
  #realm!: Realm;
  #host!: HostFunction;

  constructor(machine: Machine, program: Program, options: GameOptions) {
    this.#machine = machine;
    this.#program = program;
    this.#options = options;
    this.restart();
  }

  restart(seed = 1): void {
    const { elements, scripts } = this.#program;
    this.#realm = this.#machine.createRealm();
    const options = JSON.stringify({ ...this.#options, elements, seed });
    this.#host = this.#unwrap(this.#realm.callHost('window.js', 'createWindow', options));
    for (const { code, file } of scripts) this.#unwrap(this.#realm.run(code, file));
    this.#command({ do: 'loaded' });
  }

  frames(count: number, visit?: (screen: Screen, index: number) => unknown): void {
    for (let i = 0; i < count; i++) {
      this.#command({ do: 'frame' });
      if (visit?.(this.screen(), i) === true) return;
    }
  }

  keyDown(key: string): void {
    this.#command({ do: 'key', type: 'keydown', key });
  }

  keyUp(key: string): void {
    this.#command({ do: 'key', type: 'keyup', key });
  }

  press(key: string): void {
    this.keyDown(key);
    this.frames(1);
    this.keyUp(key);
  }

  click(x = this.#options.width / 2, y = this.#options.height / 2): void {
    this.#command({ do: 'pointer', x, y });
  }

  screen(): Screen {
    return this.#command({ do: 'screen' }).screen!;
  }

  output(): readonly string[] {
    return this.#command({ do: 'output' }).output!;
  }

  value(expression: string): unknown {
    const text = this.#unwrap(this.#realm.json(expression, 'expression'));
    return text === undefined ? undefined : JSON.parse(text);
  }

  assert(condition: unknown, message: string): asserts condition {
    if (!condition) throw new CheckFailure(message);
  }

  #command(command: Command): Reply {
    const reply = JSON.parse(this.#unwrap(this.#host(JSON.stringify(command)))) as Reply;
    if (reply.error) throw new ProgramError(describeError(reply.error), false);
    return reply;
  }

  #unwrap<T>(outcome: Outcome<T>): T {
    if (outcome.ok) return outcome.value;
    const { error } = outcome;
    throw new ProgramError(describeError(error), error.name === 'TimeLimit');
  }
}

const STACK_LINES = 4;

/** One line: what, and where in the program. */
function describeError({ name, message, stack }: Thrown): string {
  const where = stack
    .split('\n')
    .map((line) => line.trim().replace(/^at /, ''))
    // The host's own files and QuickJS's are of no use to who wrote the program.
    .filter((line) => /(?:^|\()(?:program|script-\d+|expression)[^)]*:\d+/.test(line))
    .slice(0, STACK_LINES)
    .map((line) => line.replace(/^(?:<eval>|<anonymous>) /, '').replace(/^\((.*)\)$/, '$1'));
  const at = where.length === 0 ? '' : ` at ${where.join(', called from ')}`;
  return `${name}: ${message}`.slice(0, 400) + at;
}
