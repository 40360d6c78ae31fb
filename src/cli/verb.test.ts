import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { CriaError } from '../base/errors.js';
import { fail } from './failure.js';
import { integer, text } from './options.js';
import { defineVerb, describeVerb, runVerb, type Terminal } from './verb.js';
import { VERBS } from './verbs/index.js';

function fakeTerminal(): Terminal & { readonly stdout: PassThrough; readonly stderr: PassThrough } {
  return {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    signal: new AbortController().signal,
    onInterrupt: () => () => {},
  };
}

describe('verbs', () => {
  it.each(Object.keys(VERBS))('%s describes itself', async (name) => {
    const verb = await VERBS[name]!.load();
    expect(verb.name).toBe(name);
    expect(verb.summary).toBe(VERBS[name]!.summary);
    expect(describeVerb(verb)).toMatchSnapshot();
  });

  it.each(Object.keys(VERBS))('%s spells every option once', async (name) => {
    const flags = Object.values((await VERBS[name]!.load()).options).flatMap((option) => option.flags);
    expect(flags).toEqual([...new Set(flags)]);
  });
});

describe('runVerb', () => {
  const seen: unknown[] = [];
  const verb = defineVerb({
    name: 'probe',
    summary: 'For this test',
    positionals: [
      { name: 'A', help: 'one' },
      { name: 'B', help: 'two', optional: true },
    ],
    options: {
      count: integer(['-n'], { initial: 1, help: 'count' }),
      name: text(['--name'], 'TEXT', { help: 'x' }),
    },
    run: async (_, { values, positionals }) => {
      seen.push([positionals, values.count]);
    },
  });

  it('hands over values and positionals', async () => {
    await runVerb(verb, fakeTerminal(), ['a', '-n', '2']);
    expect(seen).toEqual([[['a'], 2]]);
  });

  it('shows help whatever else is wrong', async () => {
    const terminal = fakeTerminal();
    await runVerb(verb, terminal, ['--nonsense', '--help']);
    expect(String(terminal.stdout.read())).toMatch(
      /^For this test\n\nUsage: cria probe A \[B\] \[options\]\n/,
    );
  });

  it.each([
    [[], 'missing-argument', "missing A: expected 'cria probe A [B] [options]'"],
    [
      ['a', 'b', 'c'],
      'unexpected-argument',
      "unexpected argument 'c': expected 'cria probe A [B] [options]'",
    ],
  ])('refuses %j', async (args, code, message) => {
    await expect(runVerb(verb, fakeTerminal(), args)).rejects.toMatchObject({ code, message });
  });
});

describe('fail', () => {
  const shown = (error: unknown, debug = false) => {
    const stderr = new PassThrough();
    const code = fail(error, stderr, debug);
    return [code, String(stderr.read())] as const;
  };

  it.each([
    [
      new CriaError('bad-file', 'x', 'expected a\nfound \u001b[31mb'),
      4,
      'cria: expected a found \ufffd[31mb\n',
    ],
    [new DOMException('gone', 'AbortError'), 130, 'cria: stopped\n'],
    [
      Object.assign(new Error('x'), { code: 'ENOENT', path: 'm.gguf' }),
      3,
      "cria: cannot use 'm.gguf': no such file or folder\n",
    ],
    [
      new RangeError('Array buffer allocation failed'),
      6,
      'cria: not enough memory: Array buffer allocation failed\n',
    ],
    [new Error('oops'), 1, 'cria: internal error: oops (CRIA_DEBUG=1 shows where)\n'],
    ['text', 1, 'cria: internal error: text\n'],
  ])('says %s in one line', (error, code, line) => {
    expect(shown(error)).toEqual([code, line]);
  });

  it('shows code and stack for debugging', () => {
    expect(shown(new CriaError('usage', 'some-code', 'm'), true)[1]).toMatch(
      /^cria: m\n\[some-code\] CriaError: m\n {4}at /,
    );
  });
});
