import { CriaError } from '../base/errors.js';
import { type Grammar, jsonSchemaGrammar, parseGbnf } from '../generate/grammar/index.js';
import { type OptionValues, text } from './options.js';
import { readTextInput } from './text-input.js';
import type { Terminal } from './verb.js';

const group = 'Form of the answer';

export const OUTPUT_FORM_OPTIONS = {
  grammar: text(['--grammar'], 'GRAMMAR', {
    group,
    help: 'keep the answer to a grammar in GBNF: root ::= "yes" | "no"',
  }),
  grammarFile: text(['--grammar-file'], 'FILE', { group, help: 'read the grammar from a file' }),
  jsonSchema: text(['-j', '--json-schema'], 'SCHEMA', {
    group,
    help: 'keep the answer to JSON that this schema validates; {} for any JSON',
  }),
  jsonSchemaFile: text(['-jf', '--json-schema-file'], 'FILE', { group, help: 'read the schema from a file' }),
} as const;

/**
 * The form asked for, if any. Throws `conflicting-options`, the codes of `readTextInput`, and those of `parseGbnf`
 * and `jsonSchemaGrammar`.
 */
export async function readOutputForm(
  terminal: Terminal,
  values: OptionValues<typeof OUTPUT_FORM_OPTIONS>,
): Promise<Grammar | undefined> {
  const keys = ['grammar', 'grammarFile', 'jsonSchema', 'jsonSchemaFile'] as const;
  const given = keys.filter((key) => values[key] !== undefined);
  if (given.length > 1) {
    const flags = given.map((key) => OUTPUT_FORM_OPTIONS[key].flags.at(-1)).join(' and ');
    throw new CriaError('usage', 'conflicting-options', `expected one form of the answer, found ${flags}`);
  }
  const read = async (inline: string | undefined, file: string | undefined) =>
    file === undefined ? inline : await readTextInput(terminal, file);
  const gbnf = await read(values.grammar, values.grammarFile);
  if (gbnf !== undefined) return parseGbnf(gbnf);
  const schema = await read(values.jsonSchema, values.jsonSchemaFile);
  return schema === undefined ? undefined : jsonSchemaGrammar(parseJson(schema));
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CriaError('usage', 'json-schema-invalid', `JSON schema: expected JSON, found ${reason}`);
  }
}
