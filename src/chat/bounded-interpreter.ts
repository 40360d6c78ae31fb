import { Environment, Interpreter, type JinjaEnvironment, type JinjaValue } from './jinja.js';
import { strftime } from './strftime.js';

/** Thrown by a template's own `raise_exception`: the messages do not suit it. */
export class TemplateRefusal extends Error {}

/** Thrown when a template does more than rendering its inputs can need. */
export class TemplateExcess extends Error {}

/**
 * Templates come with model files, so they are as little to be trusted: one could loop for years or fill the memory.
 * Work is counted at every node (one, plus the size of its value), and both the sum and single values are bounded in
 * proportion to the input, far above what layout needs.
 */
const LIMITS = {
  work: 1_000_000,
  workPerInputCharacter: 64,
  characters: 1_000_000,
  charactersPerInputCharacter: 16,
  items: 10_000,
};

/** Handling a character costs less than evaluating a node, by about this much. */
const CHARACTERS_PER_WORK = 16;

/** A list is mostly there to be looped over, and the library prepares every turn of a loop beforehand. */
const WORK_PER_ITEM = 4;

export class BoundedInterpreter extends Interpreter {
  #workLeft: number;
  readonly #maxCharacters: number;

  /** @param inputSize characters of all inputs together */
  constructor(environment: JinjaEnvironment, inputSize: number) {
    super(environment);
    this.#workLeft = LIMITS.work + LIMITS.workPerInputCharacter * inputSize;
    this.#maxCharacters = LIMITS.characters + LIMITS.charactersPerInputCharacter * inputSize;
  }

  override evaluate(node: unknown, environment: JinjaEnvironment): JinjaValue {
    const value = super.evaluate(node, environment);
    this.#workLeft -= 1 + this.#size(value);
    if (this.#workLeft < 0) throw new TemplateExcess('too much work');
    return value;
  }

  #size(value: JinjaValue): number {
    if (value.type === 'StringValue') {
      const { length } = value.value as string;
      if (length > this.#maxCharacters) throw new TemplateExcess(`a text of ${length} characters`);
      return Math.ceil(length / CHARACTERS_PER_WORK);
    }
    if (value.type === 'ArrayValue') {
      const { length } = value.value as unknown[];
      if (length > LIMITS.items + this.#maxCharacters) throw new TemplateExcess(`a list of ${length} items`);
      return WORK_PER_ITEM * length;
    }
    return 0;
  }
}

/** Variables and functions every template may use, as transformers offers them, and nothing of the host. */
export function templateEnvironment(inputs: Readonly<Record<string, unknown>>, now: Date): JinjaEnvironment {
  const environment = new Environment();
  const globals: Record<string, unknown> = {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    range: boundedRange,
    raise_exception: (message: unknown) => {
      throw new TemplateRefusal(String(message));
    },
    strftime_now: (format: unknown) => strftime(now, String(format)),
    ...inputs,
  };
  for (const [name, value] of Object.entries(globals)) environment.set(name, value);
  return environment;
}

function boundedRange(first: unknown, second?: unknown, third: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, Number(first)] : [Number(first), Number(second)];
  const step = Number(third);
  const count = Math.ceil((stop - start) / step);
  if (step === 0 || Number.isNaN(count)) throw new Error('range() needs numbers and a step other than 0');
  if (count > LIMITS.items) throw new TemplateExcess(`a range of ${count} numbers`);
  return Array.from({ length: Math.max(0, count) }, (_, i) => start + i * step);
}
