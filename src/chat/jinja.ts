import * as jinja from '@huggingface/jinja';

/**
 * The part of @huggingface/jinja used here, typed by hand: its declarations import each other without file
 * extensions, which Node's module resolution does not follow, so that the compiler sees `any` in their place.
 */
export interface JinjaProgram {
  readonly type: 'Program';
}

export interface JinjaValue {
  readonly type: string;
  readonly value: unknown;
}

export interface JinjaEnvironment {
  set(name: string, value: unknown): JinjaValue;
}

export interface JinjaInterpreter {
  run(program: JinjaProgram): JinjaValue;
  /** Called for every node of the program. */
  evaluate(node: unknown, environment: JinjaEnvironment): JinjaValue;
}

interface Jinja {
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown;
  parse(tokens: unknown): JinjaProgram;
  Environment: new () => JinjaEnvironment;
  Interpreter: new (environment: JinjaEnvironment) => JinjaInterpreter;
}

export const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Jinja;
