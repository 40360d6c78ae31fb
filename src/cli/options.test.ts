import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../base/suggest.js';
import {
  byteSize,
  choice,
  decimal,
  describeOptions,
  integer,
  onOff,
  parseArguments,
  text,
  texts,
  toggle,
  withoutEffect,
} from './options.js';

const TABLE = {
  prompt: text(['-p', '--prompt'], 'TEXT', { help: 'the prompt' }),
  stop: texts(['-r', '--reverse-prompt'], 'TEXT', { help: 'stop before this' }),
  predict: integer(['-n', '--predict', '--n-predict'], { initial: -1, min: -2, help: 'tokens to write' }),
  temperature: decimal(['--temp'], { initial: 0.6, min: 0, help: 'temperature' }),
  topP: decimal(['--top-p'], { initial: 0.9, min: 0, max: 1, help: 'top-p' }),
  conversation: onOff(['-cnv'], ['-no-cnv', '--no-conversation'], { help: 'chat or not' }),
  json: toggle(['--json'], { help: 'one JSON object' }),
  type: choice(['--type'], ['auto', 'f16'], { initial: 'auto', help: 'the type' }),
  size: byteSize(['--split-max-size'], { help: 'most bytes' }),
  layers: withoutEffect(['-ngl', '--n-gpu-layers'], 'N', { help: 'layers on the GPU', group: 'No effect' }),
};

const parse = (...args: string[]) => parseArguments(TABLE, args);
const failure = (...args: string[]): { code: string; message: string } => {
  try {
    parse(...args);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('expected a failure');
};

describe('parseArguments', () => {
  it('reads every form of options', () => {
    const { values, positionals, given } = parse(
      'model.gguf',
      '-p',
      'Hello',
      '--temp=0',
      '-n',
      '-1',
      '-no-cnv',
      '-ngl',
      '99',
      '-r',
      'A',
      '--reverse-prompt=B=C',
      '--type',
      'F16',
      '--split-max-size',
      '2GiB',
      '--',
      '--json',
    );
    expect(values).toEqual({
      prompt: 'Hello',
      stop: ['A', 'B=C'],
      predict: -1,
      temperature: 0,
      topP: 0.9,
      conversation: false,
      json: false,
      type: 'f16',
      size: 2 ** 31,
      layers: '-ngl',
    });
    expect(positionals).toEqual(['model.gguf', '--json']);
    expect(given.has('temperature')).toBe(true);
    expect(given.has('topP')).toBe(false);
  });

  it('takes the last of contradicting switches, and leaves them undefined when absent', () => {
    expect(parse('-no-cnv', '-cnv').values.conversation).toBe(true);
    expect(parse().values.conversation).toBeUndefined();
  });

  it.each([
    [['--promt', 'x'], 'unknown-option', "unknown option '--promt'; did you mean '--prompt'?"],
    [['--frobnicate'], 'unknown-option', "unknown option '--frobnicate'"],
    [['-p'], 'missing-value', '-p needs a value (TEXT), found the end of the command'],
    [['-p', '-n', '3'], 'missing-value', "-p needs a value (TEXT), found '-n'"],
    [['--json=1'], 'unexpected-value', "--json is a switch and takes no value, found '1'"],
    [['-n', 'many'], 'bad-value', "-n expects a whole number ≥ -2, found 'many'"],
    [['-n', '1.5'], 'bad-value', "-n expects a whole number ≥ -2, found '1.5'"],
    [['-n', '-3'], 'bad-value', "-n expects a whole number ≥ -2, found '-3'"],
    [['--temp', '-1'], 'bad-value', "--temp expects a number ≥ 0, found '-1'"],
    [['--temp', 'NaN'], 'bad-value', "--temp expects a number ≥ 0, found 'NaN'"],
    [['--temp='], 'bad-value', "--temp expects a number ≥ 0, found ''"],
    [['--top-p', '1.1'], 'bad-value', "--top-p expects a number ≥ 0 and ≤ 1, found '1.1'"],
    [['--type', 'q9'], 'bad-value', "--type expects one of auto, f16, found 'q9'"],
    [
      ['--split-max-size', 'big'],
      'bad-value',
      "--split-max-size expects a size such as 500M, 33.8GB or 24GiB, found 'big'",
    ],
  ])('refuses %j', (args, code, message) => {
    expect(failure(...args)).toMatchObject({ kind: 'usage', code, message });
  });

  it('fails only with one line for the user, whatever is typed', () => {
    const argument = fc.oneof(
      fc.constantFrom(...Object.values(TABLE).flatMap((option) => option.flags)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(argument), (args) => {
        try {
          parse(...args);
        } catch (error) {
          expect(error).toMatchObject({ name: 'CriaError', kind: 'usage' });
        }
      }),
    );
  });
});

describe('describeOptions', () => {
  it('lists spellings, values and defaults', () => {
    expect(describeOptions(TABLE)).toMatchSnapshot();
  });
});

describe('nearest', () => {
  it('finds slips and leaves strangers alone', () => {
    expect(nearest('insepct', ['inspect', 'split'])).toBe('inspect');
    expect(nearest('rnu', ['run', 'merge'])).toBe('run');
    expect(nearest('quantum', ['run', 'merge'])).toBeUndefined();
  });
});
