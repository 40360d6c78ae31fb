import { parseByteSize } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';

/**
 * One command-line option. The options of a verb are a table of these: it parses the arguments, gives the values
 * their types and prints the help. Node's own `parseArgs` has neither llama.cpp's single-dash long names (`-ngl`,
 * `-no-cnv`) nor values that start with a dash (`-n -1`), which is why this exists.
 */
export interface Option<V> {
  /** Every spelling, dashes included, as the help lists them. */
  readonly flags: readonly string[];
  /** Name of the value in the help; absent for switches, which take none. */
  readonly placeholder?: string;
  readonly help: string;
  /** Heading under which the help lists it. */
  readonly group?: string;
  /** Value when the option is not given. */
  readonly initial: V;
  /** Name of the second argument that the flag takes after this one, if it takes one. */
  readonly second?: (text: string, flag: string) => string | undefined;
  /** Value of `text` (the flag's argument, empty for switches); `previous` is the value so far. Throws `bad-value`. */
  readonly accept: (text: string, flag: string, previous: V, second?: string) => V;
}

// biome-ignore lint/suspicious/noExplicitAny: a table mixes options of every value type
export type OptionTable = Readonly<Record<string, Option<any>>>;

export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends Option<infer V> ? V : never;
};

interface Described {
  readonly help: string;
  readonly group?: string;
}

export function text(
  flags: readonly string[],
  placeholder: string,
  about: Described,
): Option<string | undefined> {
  return { flags, placeholder, ...about, initial: undefined, accept: (value) => value };
}

/** May be given several times; the values are kept in order. */
export function texts(
  flags: readonly string[],
  placeholder: string,
  about: Described,
): Option<readonly string[]> {
  return {
    flags,
    placeholder,
    ...about,
    initial: [],
    accept: (value, _flag, previous) => [...previous, value],
  };
}

export function toggle(flags: readonly string[], about: Described): Option<boolean> {
  return { flags, ...about, initial: false, accept: () => true };
}

/** A switch with an opposite: `undefined` when neither is given, and the last one given wins. */
export function onOff(
  on: readonly string[],
  off: readonly string[],
  about: Described,
): Option<boolean | undefined> {
  return { flags: [...on, ...off], ...about, initial: undefined, accept: (_, flag) => on.includes(flag) };
}

export interface NumberRange<V extends number | undefined> extends Described {
  readonly initial: V;
  readonly min?: number;
  readonly max?: number;
}

export function integer<V extends number | undefined>(
  flags: readonly string[],
  about: NumberRange<V>,
): Option<V | number> {
  return numeric(flags, about, 'a whole number', /^[+-]?\d+$/);
}

export function decimal<V extends number | undefined>(
  flags: readonly string[],
  about: NumberRange<V>,
): Option<V | number> {
  return numeric(flags, about, 'a number', /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i);
}

function numeric<V extends number | undefined>(
  flags: readonly string[],
  about: NumberRange<V>,
  kind: string,
  spelling: RegExp,
): Option<V | number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, help, group, initial } = about;
  const expected = [
    kind,
    about.min === undefined ? '' : ` ≥ ${about.min}`,
    about.max === undefined ? '' : `${about.min === undefined ? '' : ' and'} ≤ ${about.max}`,
  ].join('');
  return {
    flags,
    placeholder: 'N',
    help,
    group,
    initial,
    accept: (value, flag) => {
      const number = Number(value);
      if (!spelling.test(value) || number < min || number > max) throw badValue(flag, expected, value);
      return number;
    },
  };
}

export function choice<const C extends string, I extends C | undefined>(
  flags: readonly string[],
  choices: readonly C[],
  about: Described & { readonly initial: I },
): Option<C | I> {
  return {
    flags,
    placeholder: choices.join('|'),
    ...about,
    accept: (value, flag) => {
      const found = choices.find((name) => name === value.toLowerCase());
      if (found === undefined) throw badValue(flag, `one of ${choices.join(', ')}`, value);
      return found;
    },
  };
}

/** Sizes as people write them, in bytes: `500M`, `4GiB`. */
export function byteSize(flags: readonly string[], about: Described): Option<number | undefined> {
  return {
    flags,
    placeholder: 'SIZE',
    ...about,
    initial: undefined,
    accept: (value, flag) => {
      try {
        return parseByteSize(value);
      } catch {
        throw badValue(flag, 'a size such as 500M, 33.8GB or 24GiB', value);
      }
    },
  };
}

/** An option taken so that existing command lines run, and which changes nothing; its value is the flag as given. */
export function withoutEffect(
  flags: readonly string[],
  placeholder: string | undefined,
  about: Described,
): Option<string | undefined> {
  return { flags, placeholder, ...about, initial: undefined, accept: (_, flag) => flag };
}

export function badValue(flag: string, expected: string, found: string): CriaError {
  return new CriaError('usage', 'bad-value', `${flag} expects ${expected}, found '${found}'`);
}

export interface ParsedArguments<T extends OptionTable> {
  readonly values: OptionValues<T>;
  readonly positionals: readonly string[];
  /** Keys of the options that were given. */
  readonly given: ReadonlySet<keyof T>;
}

/**
 * Reads the arguments of one verb. `--name=value` and `--name value` are the same; `--` ends the options; a lone
 * `-` is a positional. Throws `unknown-option`, `missing-value`, `unexpected-value`, `bad-value`.
 */
export function parseArguments<T extends OptionTable>(table: T, args: readonly string[]): ParsedArguments<T> {
  const byFlag = new Map<string, string>();
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(table)) {
    for (const flag of option.flags) byFlag.set(flag, key);
    values[key] = option.initial;
  }
  const positionals: string[] = [];
  const given = new Set<keyof T>();
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === '--') {
      positionals.push(...args.slice(i + 1));
      break;
    }
    if (!argument.startsWith('-') || argument === '-') {
      positionals.push(argument);
      continue;
    }
    const equals = argument.startsWith('--') ? argument.indexOf('=') : -1;
    const flag = equals < 0 ? argument : argument.slice(0, equals);
    const key = byFlag.get(flag);
    if (key === undefined) {
      throw new CriaError(
        'usage',
        'unknown-option',
        `unknown option '${flag}'${didYouMean(flag, byFlag.keys())}`,
      );
    }
    const option = table[key]!;
    let value = equals < 0 ? '' : argument.slice(equals + 1);
    if (option.placeholder === undefined) {
      if (equals >= 0) {
        throw new CriaError(
          'usage',
          'unexpected-value',
          `${flag} is a switch and takes no value, found '${value}'`,
        );
      }
    } else if (equals < 0) {
      const next = args[i + 1];
      if (next === undefined || byFlag.has(next)) {
        const found = next === undefined ? 'the end of the command' : `'${next}'`;
        throw new CriaError(
          'usage',
          'missing-value',
          `${flag} needs a value (${option.placeholder}), found ${found}`,
        );
      }
      value = next;
      i++;
    }
    const secondName = option.second?.(value, flag);
    const second = secondName === undefined ? undefined : args[++i];
    if (secondName !== undefined && second === undefined) {
      throw new CriaError(
        'usage',
        'missing-value',
        `${flag} ${value} needs a second value (${secondName}), found the end of the command`,
      );
    }
    values[key] = option.accept(value, flag, values[key], second);
    given.add(key);
  }
  return { values: values as OptionValues<T>, positionals, given };
}

const WIDTH = 100;
const COLUMN = 34;

/** The option table as help text, grouped in the order of the table. */
export function describeOptions(table: OptionTable): string {
  const groups = new Map<string, string[]>();
  for (const option of Object.values(table)) {
    const heading = option.group ?? 'Options';
    if (!groups.has(heading)) groups.set(heading, []);
    groups.get(heading)!.push(describeOption(option));
  }
  return [...groups].map(([heading, lines]) => `${heading}:\n${lines.join('\n')}`).join('\n\n');
}

function describeOption(option: OptionTable[string]): string {
  const left = `  ${option.flags.join(', ')}${option.placeholder === undefined ? '' : ` ${option.placeholder}`}`;
  const { initial } = option;
  const shown = typeof initial === 'number' || typeof initial === 'string' ? ` (default ${initial})` : '';
  return twoColumns(left, option.help + shown);
}

/** `left` padded to the help column and `right` wrapped beside it; a long `left` has its own line. */
export function twoColumns(left: string, right: string): string {
  const indent = ' '.repeat(COLUMN);
  const first = left.length < COLUMN - 1 ? left.padEnd(COLUMN) : `${left}\n${indent}`;
  return first + wrap(right, WIDTH - COLUMN).join(`\n${indent}`);
}

/** `text` in lines of at most `width` characters, as far as its words allow. */
export function wrap(text: string, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  return [...lines, line];
}
