import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutFourBit, packQuantState, parseQuantState, type QuantState, quantStateBytes } from './index.js';

const fixture = JSON.parse(readFileSync('test/data/bnb/fixture_bnb_4bit.json', 'utf8'));

describe('quantization state', () => {
  it.each([
    ['nf4', 'nf4'],
    ['nf4_dq', 'nf4'],
    ['fp4', 'fp4'],
  ])('has the bytes of bitsandbytes: %s', (name, type) => {
    const bytes = Uint8Array.from(fixture[name][`quant_state.bitsandbytes__${type}`] as number[]);
    const state = parseQuantState(bytes, 'fixture');
    expect(state).toMatchObject({ quantType: type, blocksize: 64, dtype: 'bfloat16', shape: [8, 64] });
    expect(Buffer.from(packQuantState(state))).toEqual(Buffer.from(bytes));
  });

  it('comes back as it was, and fits the room kept for it', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (offset) => {
        const plain = { quantType: 'nf4', blocksize: 64, dtype: 'float16', shape: [3, 5] } as const;
        const state: QuantState = { ...plain, nested: { blocksize: 256, offset } };
        const bytes = packQuantState(state);
        expect(bytes.length).toBeLessThanOrEqual(quantStateBytes(plain, 256));
        const padded = Buffer.alloc(quantStateBytes(plain, 256), ' ');
        padded.set(bytes);
        expect(parseQuantState(padded, '').nested!.offset + 0).toBe(offset + 0);
      }),
    );
  });

  it.each([
    '',
    '[',
    'null',
    '{"quant_type": "nf5"}',
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [-1]}',
    '{"quant_type": "nf4", "blocksize": 1, "dtype": "bfloat16", "shape": [8]}',
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [8], "nested_blocksize": 256}',
  ])('is refused: %s', (text) => {
    expect(() => parseQuantState(Buffer.from(text), 'x')).toThrow(
      expect.objectContaining({ code: 'bad-quant-state' }),
    );
  });
});

it('4-bit weights have the tensors of the format', () => {
  const state = { quantType: 'nf4', blocksize: 64, dtype: 'bfloat16', shape: [8, 64] } as const;
  const { weight, absmax, nested } = layoutFourBit('a.weight', state, 256);
  expect([weight.shape, absmax.dtype, absmax.shape]).toEqual([[256, 1], 'U8', [8]]);
  expect(nested!.absmax.name).toBe('a.weight.nested_absmax');
  expect(layoutFourBit('a.weight', state).absmax).toMatchObject({ dtype: 'F32', bytes: 32 });
});
