import type { Readable, Writable } from 'node:stream';
import { CriaError } from '../base/errors.js';
import {
  describeOptions,
  type Option,
  type OptionTable,
  type OptionValues,
  type ParsedArguments,
  parseArguments,
  toggle,
  twoColumns,
  wrap,
} from './options.js';

/** What a verb may touch of the world, so that tests can stand in for it. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  /** Aborted when the user asks the program to stop. */
  readonly signal: AbortSignal;
  /** Takes Ctrl-C over from the program until the returned function is called. */
  onInterrupt(handler: () => void): () => void;
}

/** One argument without a flag. */
export interface Positional {
  readonly name: string;
  readonly help: string;
  /** Takes this and every further argument. */
  readonly many?: boolean;
  /** May be left out; only the last ones can be. */
  readonly optional?: boolean;
}

export interface Verb<T extends OptionTable = OptionTable> {
  /** As typed after `cria`: `run`, `evaluate perplexity`. */
  readonly name: string;
  readonly summary: string;
  /** A paragraph under the usage line. */
  readonly details?: string;
  /** Command lines as typed, most useful first. */
  readonly examples?: readonly string[];
  readonly positionals: readonly Positional[];
  readonly options: T;
  run(terminal: Terminal, input: VerbInput<T>): Promise<void>;
}

export interface VerbInput<T extends OptionTable> {
  readonly values: OptionValues<T>;
  readonly positionals: readonly string[];
  readonly given: ReadonlySet<keyof T>;
}

/** Identity that lets a verb's `run` see the types of its own options. */
export function defineVerb<T extends OptionTable>(verb: Verb<T>): Verb<T> {
  return verb;
}

const HELP: Readonly<Record<'help', Option<boolean>>> = {
  help: toggle(['-h', '--help'], { help: 'show this text' }),
};

/** Parses `args` for `verb` and runs it; `--help` prints the help instead. */
export async function runVerb(verb: Verb, terminal: Terminal, args: readonly string[]): Promise<void> {
  // A help flag wins over any mistake beside it: it is how one finds out about the mistake.
  const end = args.indexOf('--');
  const flags = end < 0 ? args : args.slice(0, end);
  if (flags.some((argument) => HELP.help.flags.includes(argument))) {
    terminal.stdout.write(describeVerb(verb));
    return;
  }
  const parsed: ParsedArguments<OptionTable> = parseArguments(verb.options, args);
  checkPositionals(verb, parsed.positionals);
  await verb.run(terminal, parsed);
}

function checkPositionals(verb: Verb, found: readonly string[]): void {
  const missing = verb.positionals[found.length];
  if (missing && !missing.optional) {
    throw new CriaError('usage', 'missing-argument', `missing ${missing.name}: expected '${usage(verb)}'`);
  }
  const extra = found[verb.positionals.length];
  if (extra !== undefined && !verb.positionals.at(-1)?.many) {
    throw new CriaError(
      'usage',
      'unexpected-argument',
      `unexpected argument '${extra}': expected '${usage(verb)}'`,
    );
  }
}

/** `cria run [MODEL] [options]` */
export function usage(verb: Verb): string {
  const names = verb.positionals.map(({ name, many, optional }) => {
    const shown = many ? `${name}…` : name;
    return optional ? `[${shown}]` : shown;
  });
  return ['cria', verb.name, ...names, '[options]'].join(' ');
}

export function describeVerb(verb: Verb): string {
  const sections = [`${verb.summary}\n\nUsage: ${usage(verb)}`];
  if (verb.positionals.length > 0) {
    sections.push(verb.positionals.map(({ name, help }) => twoColumns(`  ${name}`, help)).join('\n'));
  }
  if (verb.details !== undefined) sections.push(wrap(verb.details).join('\n'));
  sections.push(describeOptions({ ...verb.options, ...HELP }));
  if (verb.examples) sections.push(`Examples:\n${verb.examples.map((line) => `  ${line}`).join('\n')}`);
  return `${sections.join('\n\n')}\n`;
}
