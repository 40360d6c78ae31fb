import { Readable, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { parseArguments } from './options.js';
import { OUTPUT_FORM_OPTIONS, readOutputForm } from './output-form.js';
import { checkSpeculation, SPECULATION_OPTIONS } from './speculation.js';
import type { Terminal } from './verb.js';

function terminal(input = ''): Terminal {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  return {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: nowhere,
    stderr: nowhere,
    signal: new AbortController().signal,
    onInterrupt: () => () => {},
  };
}

const read = (args: readonly string[], input?: string) =>
  readOutputForm(terminal(input), parseArguments(OUTPUT_FORM_OPTIONS, args).values);

describe('readOutputForm', () => {
  it('reads grammars and schemas, inline and from files', async () => {
    expect(await read([])).toBeUndefined();
    expect([...(await read(['--grammar', 'root ::= "a"']))!.keys()]).toEqual(['root']);
    expect([...(await read(['--grammar-file', '-'], 'root ::= a\na ::= "a"'))!.keys()]).toEqual([
      'root',
      'a',
    ]);
    expect((await read(['-j', '{"type":"null"}']))!.has('root')).toBe(true);
    expect((await read(['-jf', '-'], '{"type":"null"}'))!.has('root')).toBe(true);
  });

  it.each([
    [['--grammar', 'root'], 'grammar-syntax'],
    [['-j', '{'], 'json-schema-invalid'],
    [['-j', '{}', '--grammar', 'root ::= "a"'], 'conflicting-options'],
    [['--grammar-file', '/nowhere/at/all'], 'no-such-file'],
  ])('refuses %s', async (args, code) => {
    await expect(read(args)).rejects.toMatchObject({ code });
  });
});

it('speculation has one drafter', () => {
  const values = (args: readonly string[]) => parseArguments(SPECULATION_OPTIONS, args).values;
  checkSpeculation(values(['-md', 'small.gguf', '--draft-max', '8']));
  checkSpeculation(values(['--spec-type', 'ngram-simple', '--spec-draft-n-max', '8']));
  expect(() => checkSpeculation(values(['-md', 'small.gguf', '--spec-type', 'ngram-simple']))).toThrow(
    expect.objectContaining({ code: 'conflicting-options' }),
  );
});
