import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeBf16 } from './encode/float.js';
import { bf16ToF32, decodeBf16, decodeF16, decodeF32, f16ToF32, f32ToF16 } from './float.js';

const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;

it('reads halves by the definition of the format', () => {
  for (let half = 0; half < 1 << 16; half++) {
    const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
    const expected =
      exponent === 31
        ? fraction === 0
          ? sign * Number.POSITIVE_INFINITY
          : Number.NaN
        : sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
    if (!Object.is(f16ToF32(half), expected)) {
      expect.fail(`half 0x${half.toString(16)}: ${f16ToF32(half)}, expected ${expected}`);
    }
  }
});

it('writes back every half it reads', () => {
  for (let half = 0; half < 1 << 16; half++) {
    const notANumber = (half & 0x7fff) > 0x7c00;
    const written = f32ToF16(f16ToF32(half));
    if (notANumber ? (written & 0x7fff) <= 0x7c00 : written !== half) {
      expect.fail(`half 0x${half.toString(16)} came back as 0x${written.toString(16)}`);
    }
  }
});

it('rounds to the nearest half, ties to even, at every midpoint', () => {
  const below = (value: number) => {
    const bits = Uint32Array.of(bitsOf(value) - 1);
    return new Float32Array(bits.buffer)[0]!;
  };
  const above = (value: number) => {
    const bits = Uint32Array.of(bitsOf(value) + 1);
    return new Float32Array(bits.buffer)[0]!;
  };
  for (let half = 0; half < 0x7c00; half++) {
    const next = half === 0x7bff ? 65536 : f16ToF32(half + 1);
    const midpoint = (f16ToF32(half) + next) / 2;
    const even = half & 1 ? half + 1 : half;
    const found = [below(midpoint), midpoint, above(midpoint), -midpoint].map(f32ToF16);
    if (found.join() !== [half, even, half + 1, even | 0x8000].join()) {
      expect.fail(`about ${midpoint}: ${found}`);
    }
  }
});

it('rounds to the nearest bfloat16, ties to even, and not to infinity', () => {
  const words = new Uint16Array(1);
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const high = bitsOf(value) >>> 16;
      const low = bitsOf(value) & 0xffff;
      const up = low > 0x8000 || (low === 0x8000 && (high & 1) === 1);
      encodeBf16(Float32Array.of(value), new Uint8Array(words.buffer), 1);
      const rounded = up ? high + 1 : high;
      expect(words[0]).toBe((rounded & 0x7fff) === 0x7f80 ? rounded - 1 : rounded);
      expect(bitsOf(bf16ToF32(high))).toBe((high << 16) >>> 0);
    }),
  );
});

it('decodes infinities, subnormals and the payload of a NaN', () => {
  const decodedBits = (decode: typeof decodeF32, source: Uint16Array, weights: number) => {
    const target = new Float32Array(weights);
    decode(new Uint8Array(source.buffer), target);
    return [...new Uint32Array(target.buffer)];
  };
  expect(decodedBits(decodeF16, Uint16Array.of(0x7c00, 0xfc00, 1, 0x8000, 0x7d23), 5)).toEqual([
    0x7f800000, 0xff800000, 0x33800000, 0x80000000, 0x7fa46000,
  ]);
  expect(decodedBits(decodeBf16, Uint16Array.of(0xff80, 1, 0x7f81), 3)).toEqual([
    0xff800000, 0x10000, 0x7f810000,
  ]);
  expect(decodedBits(decodeF32, Uint16Array.of(1, 0x7f80), 1)).toEqual([0x7f800001]);
});
