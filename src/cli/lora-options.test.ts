import { describe, expect, it } from 'vitest';
import { LORA } from './lora-options.js';
import { parseArguments } from './options.js';

const parse = (...args: string[]) => parseArguments({ adapters: LORA }, args);

describe('--lora and --lora-scaled', () => {
  it('make one list, in their order', () => {
    const found = parse(
      '--lora',
      'a',
      '--lora-scaled',
      'b',
      '0.5',
      'model',
      '--lora-scaled',
      'c',
      '-1e1',
      '--lora=d',
    );
    expect(found.values.adapters).toEqual([
      { path: 'a', scale: 1 },
      { path: 'b', scale: 0.5 },
      { path: 'c', scale: -10 },
      { path: 'd', scale: 1 },
    ]);
    expect(found.positionals).toEqual(['model']);
  });

  it('take the scale after a colon, too', () => {
    expect(parse('--lora-scaled', 'C:\\a.gguf:0.25').values.adapters).toEqual([
      { path: 'C:\\a.gguf', scale: 0.25 },
    ]);
    expect(parse('--lora', 'a:2').values.adapters).toEqual([{ path: 'a:2', scale: 1 }]);
  });

  it.each([
    [['--lora-scaled', 'a'], 'missing-value'],
    [['--lora-scaled', 'a', 'much'], 'bad-value'],
    [['--lora'], 'missing-value'],
  ])('refuse %j', (args, code) => {
    expect(() => parse(...args)).toThrow(expect.objectContaining({ code }));
  });
});
