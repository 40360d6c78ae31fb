import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgmlType, ggmlType, rowBytes } from '../../formats/ggml-types.js';
import { blockFormat } from '../index.js';
import type { Encode } from './block-encoder.js';
import { ENCODERS } from './index.js';

const encoders = Object.entries(ENCODERS) as [GgmlType, Encode][];

/** Encodes with a margin around the target, which must stay untouched, and decodes. */
function roundTrip(type: GgmlType, source: Float32Array, columns: number, importance?: Float32Array) {
  const bytes = (source.length / columns) * rowBytes(type, columns);
  const padded = new Uint8Array(bytes + 32).fill(0xa5);
  const encoded = padded.subarray(16, 16 + bytes);
  ENCODERS[type]!(source, encoded, columns, importance);
  const margins = [...padded.subarray(0, 16), ...padded.subarray(16 + bytes)];
  expect(margins.every((byte) => byte === 0xa5)).toBe(true);
  const decoded = new Float32Array(source.length);
  blockFormat(type).decode(encoded, decoded);
  return { encoded, decoded };
}

function relativeError(decoded: Float32Array, source: Float32Array): number {
  let error = 0;
  let total = 0;
  source.forEach((value, i) => {
    error += (decoded[i]! - value) ** 2;
    total += value * value;
  });
  return total === 0 ? error : error / total;
}

/** Repeatable, roughly normal numbers. */
function noise(length: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => uniform() + uniform() + uniform() + uniform() - 2);
}

/** Squared error, relative, that normal noise may have at a type: generous, to catch a broken layout. */
const NOISE_ERROR: { readonly [type in GgmlType]?: number } = {
  F32: 0,
  F16: 1e-6,
  BF16: 1e-5,
  Q8_0: 1e-4,
  Q6_K: 1e-3,
  Q5_0: 3e-3,
  Q5_1: 2e-3,
  Q5_K: 2e-3,
  Q4_0: 1.1e-2,
  Q4_1: 8e-3,
  Q4_K: 8e-3,
  Q3_K: 4e-2,
  Q2_K: 0.13,
  IQ1_S: 0.3,
  IQ1_M: 0.27,
  IQ2_XXS: 0.2,
  IQ2_XS: 0.15,
  IQ2_S: 0.12,
  IQ3_XXS: 0.06,
  IQ3_S: 0.05,
  IQ4_NL: 1e-2,
  IQ4_XS: 1e-2,
  MXFP4: 2e-2,
  NVFP4: 1.5e-2,
  TQ1_0: 0.25,
  TQ2_0: 0.25,
  Q1_0: 0.45,
  Q2_0: 0.2,
};

describe.each(encoders)('%s', (type, encode) => {
  const { blockSize } = ggmlType(type);
  const columns = Math.max(blockSize, 64) * 2;

  it('decodes to about what was encoded', () => {
    const source = noise(2 * columns, 1);
    const importance = noise(columns, 2).map(Math.abs);
    expect(relativeError(roundTrip(type, source, columns).decoded, source)).toBeLessThanOrEqual(
      NOISE_ERROR[type]!,
    );
    expect(relativeError(roundTrip(type, source, columns, importance).decoded, source)).toBeLessThanOrEqual(
      2 * NOISE_ERROR[type]!,
    );
  });

  it('keeps zeros', () => {
    const { decoded } = roundTrip(type, new Float32Array(columns), columns);
    expect(decoded.every((value) => value === 0)).toBe(true);
  });

  it.each([1, -0.37, 1e-3])('encodes a row of %f', (value) => {
    const source = new Float32Array(columns).fill(value);
    const { decoded } = roundTrip(type, source, columns);
    expect(relativeError(decoded, source)).toBeLessThanOrEqual(NOISE_ERROR[type]!);
  });

  it.each([3.4e38, 1e30, 1e6, 1e-7, 1e-30, 1e-45])('stays finite at a magnitude of %d', (magnitude) => {
    const source = noise(columns, 3).map((value) => (value / 2) * magnitude);
    source[5] = magnitude;
    const { decoded } = roundTrip(type, source, columns);
    expect(decoded.every(Number.isFinite)).toBe(true);
  });

  it('encodes beside a block of zeros, an outlier and columns that do not matter', () => {
    const source = noise(2 * columns, 4);
    source.fill(0, 0, blockSize);
    source[columns + 3] = 300;
    const importance = noise(columns, 5).map(Math.abs);
    importance.fill(0, 0, columns / 2);
    const { decoded } = roundTrip(type, source, columns, importance);
    expect(decoded.every(Number.isFinite)).toBe(true);
    const unweighted = roundTrip(type, source, columns, new Float32Array(columns));
    expect(unweighted.encoded).toEqual(roundTrip(type, source, columns).encoded);
  });

  it('writes the same bytes for the same rows, wherever they are, whatever came before', () => {
    const weight = fc.float({ noNaN: true, noDefaultInfinity: true });
    const row = fc.array(weight, { minLength: columns, maxLength: columns });
    fc.assert(
      fc.property(row, row, (first, second) => {
        const both = roundTrip(type, Float32Array.from([...first, ...second]), columns);
        expect(both.decoded.every(Number.isFinite)).toBe(true);
        const alone = roundTrip(type, Float32Array.from(second), columns).encoded;
        expect(both.encoded.subarray(alone.length)).toEqual(alone);
      }),
      { numRuns: 10, seed: 7 },
    );
  });

  it('refuses weights that are not finite', () => {
    const source = new Float32Array(2 * columns);
    source[columns + 2] = Number.NaN;
    const target = new Uint8Array(2 * rowBytes(type, columns));
    expect(() => encode(source, target, columns)).toThrow(
      expect.objectContaining({
        code: 'non-finite-weights',
        message: `cannot encode as ${type}: expected finite weights, found NaN at row 1, column 2`,
      }),
    );
  });

  it('refuses a target of another size', () => {
    expect(() => encode(new Float32Array(columns), new Uint8Array(1), columns)).toThrow(/the target has 1/);
    expect(() => encode(new Float32Array(columns + 1), new Uint8Array(1), columns)).toThrow(/whole rows/);
  });
});

it.each(['F32', 'F16', 'BF16'] as const)('%s keeps values that it can represent', (type) => {
  const value = fc
    .integer({ min: -255, max: 255 })
    .chain((fraction) => fc.integer({ min: -14, max: 8 }).map((exponent) => fraction * 2 ** exponent));
  fc.assert(
    fc.property(fc.array(value, { minLength: 1 }), (values) => {
      const source = Float32Array.from(values);
      expect(roundTrip(type, source, source.length).decoded).toEqual(source);
    }),
  );
});

it('16-bit types saturate instead of overflowing', () => {
  const source = Float32Array.of(3.4028235e38, -3.4028235e38);
  expect([...roundTrip('F16', source, 2).decoded]).toEqual([65504, -65504]);
  expect([...roundTrip('BF16', source, 2).decoded].map((value) => value.toPrecision(4))).toEqual([
    '3.390e+38',
    '-3.390e+38',
  ]);
});

it('refuses importances that are not one non-negative number per column', () => {
  const encode = (importance: Float32Array) =>
    ENCODERS.Q4_0!(new Float32Array(32), new Uint8Array(18), 32, importance);
  expect(() => encode(new Float32Array(31))).toThrow(/one importance for each of 32 columns, found 31/);
  const negative = new Float32Array(32);
  negative[4] = -1;
  expect(() => encode(negative)).toThrow(/found -1 at column 4/);
});
