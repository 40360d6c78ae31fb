import type { OptionTable } from './options.js';
import { usage, type Verb } from './verb.js';

/** Exit codes as docs/errors.md explains them. */
const EXIT_STATUS: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'done'],
  ['1', 'a defect in cria'],
  ['2', 'an option, value or argument that cannot be'],
  ['3', 'something is not there'],
  ['4', 'a file whose bytes contradict its format'],
  ['5', 'a valid file that asks for something cria does not do'],
  ['6', 'not enough memory, disk or threads'],
  ['130', 'stopped by Ctrl-C or a termination signal'],
];

/** The manual page cria(1) in troff, for the given verbs. Pure. */
export function manualPage(verbs: readonly Verb[], version: string): string {
  return `${[
    `.TH CRIA 1 "" "cria ${version}" "User Commands"`,
    '.SH NAME',
    'cria \\- Llama 4 from the Hub to a model cut to fit your machine',
    '.SH SYNOPSIS',
    '.B cria',
    '.I VERB',
    '[\\fIarguments\\fR] [\\fIoptions\\fR]',
    '.SH VERBS',
    ...verbs.flatMap(describe),
    '.SH EXIT STATUS',
    ...EXIT_STATUS.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, escaped(meaning)]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B CRIA_DEBUG',
    'Set to 1, errors come with their code and stack.',
    '.TP',
    '.B NO_COLOR',
    'Set to anything, output has no colours.',
  ].join('\n')}\n`;
}

function describe(verb: Verb): string[] {
  return [
    `.SS ${escaped(usage(verb))}`,
    `${escaped(verb.summary)}.`,
    ...(verb.details === undefined ? [] : ['.PP', escaped(verb.details)]),
    ...verb.positionals.flatMap(({ name, help }) => ['.TP', `.I ${escaped(name)}`, escaped(help)]),
    ...describeOptions(verb.options),
    ...(verb.examples ?? []).flatMap((example) => ['.PP', '.EX', escaped(example), '.EE']),
  ];
}

function describeOptions(table: OptionTable): string[] {
  return Object.values(table).flatMap(({ flags, placeholder, help }) => {
    const names = flags.map((flag) => `\\fB${escaped(flag)}\\fR`).join(', ');
    const value = placeholder === undefined ? '' : ` \\fI${escaped(placeholder)}\\fR`;
    return ['.TP', names + value, escaped(help)];
  });
}

/** Text that troff prints as it is; a line that begins with a dot or an apostrophe would be a request. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}
