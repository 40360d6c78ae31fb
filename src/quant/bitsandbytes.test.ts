import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFourBit, encodeFourBit, FOUR_BIT_VALUES, roundToFourBit } from './bitsandbytes-four-bit.js';
import { decodeInt8Rows, encodeInt8Rows } from './bitsandbytes-int8.js';
import { DYNAMIC_VALUES, nestScales, unnestScales } from './bitsandbytes-scales.js';
import { encodeBf16 } from './encode/float.js';
import { bf16ToF32 } from './float.js';
import { E4M3_VALUES } from './float8.js';

const read = (name: string) => JSON.parse(readFileSync(`test/data/bnb/${name}`, 'utf8'));
const fixture = read('fixture_bnb_4bit.json');
const weights = Float32Array.from(fixture.weight_bf16_bits as number[], bf16ToF32);

function bf16Bits(values: Float32Array): number[] {
  const bytes = new Uint8Array(values.length * 2);
  encodeBf16(values, bytes, values.length);
  return [...new Uint16Array(bytes.buffer)];
}

describe('4-bit codes', () => {
  it.each(['nf4', 'fp4'] as const)('are those of bitsandbytes: %s', (type) => {
    const codes = new Uint8Array(weights.length / 2);
    const scales = new Float32Array(weights.length / 64);
    encodeFourBit(type, weights, codes, scales);
    expect([...codes]).toEqual(fixture[type].packed);
    expect([...scales]).toEqual(fixture[type].absmax);
    expect([...FOUR_BIT_VALUES[type]]).toEqual(fixture[type].quant_map);
    const decoded = new Float32Array(weights.length);
    decodeFourBit({ first: 0, block: 64, values: FOUR_BIT_VALUES[type] }, codes, scales, decoded);
    expect(bf16Bits(decoded)).toEqual(fixture[type].dequant_bf16_bits);
  });

  it('change where bitsandbytes does', () => {
    // Borders of NF4 in its CUDA kernel; a tie belongs to the lower code. The first weight makes the scale 1.
    const code = (value: number) => {
      const codes = new Uint8Array(1);
      encodeFourBit('nf4', Float32Array.of(1, value), codes, new Float32Array(1));
      return codes[0]! & 15;
    };
    expect([-0.045525018125772476, 0.03979014977812767, 0.8614784181118011].map(code)).toEqual([6, 7, 14]);
    expect([-0.045525, 0.0397902, 0.861479].map(code)).toEqual([7, 8, 15]);
  });

  it.each(['nf4', 'fp4'] as const)('are the nearest: %s', (type) => {
    fc.assert(
      fc.property(fc.float({ min: -1, max: 1, noNaN: true }), (value) => {
        const rounded = Float32Array.of(1, value);
        roundToFourBit(type, rounded, rounded);
        const nearest = Math.min(...FOUR_BIT_VALUES[type].map((other) => Math.abs(other - value)));
        expect(Math.abs(rounded[1]! - value)).toBeLessThanOrEqual(nearest + 1e-7);
      }),
    );
  });

  it('are refused to what is no number', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const source = Float32Array.of(0, value, 1);
      expect(() => roundToFourBit('nf4', source, source)).toThrow(
        expect.objectContaining({ code: 'non-finite-weights' }),
      );
    }
  });

  it('are decoded from any place on', () => {
    const codes = new Uint8Array(weights.length / 2);
    const scales = new Float32Array(weights.length / 64);
    encodeFourBit('nf4', weights, codes, scales);
    const all = new Float32Array(weights.length);
    roundToFourBit('nf4', weights, all);
    fc.assert(
      fc.property(fc.nat(weights.length - 1), fc.nat(weights.length), (first, count) => {
        const target = new Float32Array(Math.min(count, weights.length - first));
        const range = { first, block: 64, values: FOUR_BIT_VALUES.nf4 };
        decodeFourBit(range, codes.subarray(first >> 1), scales.subarray(Math.floor(first / 64)), target);
        expect(target).toEqual(all.subarray(first, first + target.length));
      }),
    );
  });

  it('may end in the middle of a block and of a byte', () => {
    const source = Float32Array.of(...new Array(64).fill(1), -2, 0, 2);
    const target = new Float32Array(67);
    roundToFourBit('fp4', source, target);
    expect(target).toEqual(source);
    roundToFourBit('nf4', new Float32Array(5), target.subarray(0, 5));
    expect([...target.subarray(0, 5)].every((value) => value === 0)).toBe(true);
  });
});

describe('double quantization', () => {
  it('has the values of bitsandbytes', () => {
    expect([...DYNAMIC_VALUES]).toEqual(read('bnb_dynamic_map_signed.json'));
  });

  it('gives the codes of bitsandbytes', () => {
    const absmax = Float32Array.from(fixture.nf4.absmax as number[]);
    const { codes, scales, offset } = nestScales(absmax);
    expect([...codes]).toEqual(fixture.nf4_dq.absmax);
    expect([...scales]).toEqual(fixture.nf4_dq.nested_absmax);
    const state = JSON.parse(
      Buffer.from(fixture.nf4_dq['quant_state.bitsandbytes__nf4'] as number[]).toString(),
    );
    expect(offset).toBe(state.nested_offset);
    const decoded = new Float32Array(absmax.length);
    unnestScales(0, codes, { scales, values: DYNAMIC_VALUES, offset }, decoded);
    const back = new Float32Array(weights.length);
    const packed = Uint8Array.from(fixture.nf4_dq.packed as number[]);
    decodeFourBit({ first: 0, block: 64, values: FOUR_BIT_VALUES.nf4 }, packed, decoded, back);
    expect(bf16Bits(back)).toEqual(fixture.nf4_dq.dequant_bf16_bits);
  });

  it('keeps equal scales, and any within a hundredth of the largest distance from their mean', () => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 600, min: 0, max: 100, noNaN: true }),
        (absmax) => {
          const { codes, scales, offset } = nestScales(absmax);
          const decoded = new Float32Array(absmax.length);
          unnestScales(0, codes, { scales, values: DYNAMIC_VALUES, offset }, decoded);
          decoded.forEach((value, i) => {
            expect(Math.abs(value - absmax[i]!)).toBeLessThanOrEqual(0.01 * scales[i >> 8]! + 1e-4);
          });
        },
      ),
      { numRuns: 30 },
    );
    expect([...nestScales(new Float32Array(3).fill(0.7)).scales]).toEqual([0]);
  });
});

describe('8-bit rows', () => {
  it('keep each weight within half a step', () => {
    // Rows below it become zeros.
    const smallest = 127 / 3.4028234663852886e38;
    fc.assert(
      fc.property(fc.float32Array({ minLength: 8, maxLength: 8, min: -9, max: 9, noNaN: true }), (source) => {
        const codes = new Int8Array(8);
        const scales = new Float32Array(2);
        encodeInt8Rows(source, 4, codes, scales);
        const decoded = new Float32Array(8);
        decodeInt8Rows(codes, 4, scales, decoded);
        decoded.forEach((value, i) => {
          expect(Math.abs(value - source[i]!)).toBeLessThanOrEqual(
            (scales[i >> 2]! / 127) * 0.50001 + smallest,
          );
        });
      }),
    );
  });

  it('round halves to even', () => {
    const codes = new Int8Array(4);
    encodeInt8Rows(Float32Array.of(127, 0.5, 1.5, -2.5), 4, codes, new Float32Array(1));
    expect([...codes]).toEqual([127, 0, 2, -2]);
  });
});

it('8-bit floats have the values of the OCP specification', () => {
  expect([0x00, 0x01, 0x08, 0x38, 0x7e, 0xb8].map((code) => E4M3_VALUES[code])).toEqual([
    0,
    2 ** -9,
    2 ** -6,
    1,
    448,
    -1,
  ]);
  expect(E4M3_VALUES[0x7f]).toBeNaN();
});
