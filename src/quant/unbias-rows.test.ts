import { describe, expect, it } from 'vitest';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat } from './index.js';
import { unbiasRows } from './unbias-rows.js';

const COLUMNS = 512;
const ROWS = 4;

/** Roughly normal weights of a fixed generator. */
function weights(): Float32Array {
  let state = 11;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length: COLUMNS * ROWS }, () => uniform() + uniform() + uniform() + uniform());
}

const importance = Float32Array.from({ length: COLUMNS }, (_, i) => 1 + (i % 5));

function shrinkage(type: GgmlType, encoded: Uint8Array, original: Float32Array): number[] {
  const decoded = new Float32Array(original.length);
  blockFormat(type).decode(encoded, decoded);
  return Array.from({ length: ROWS }, (_, row) => {
    let norm = 0;
    let product = 0;
    for (let column = 0; column < COLUMNS; column++) {
      const at = row * COLUMNS + column;
      norm += importance[column]! * original[at]! ** 2;
      product += importance[column]! * original[at]! * decoded[at]!;
    }
    return product / norm;
  });
}

function encode(type: GgmlType, values: Float32Array): Uint8Array {
  const encoded = new Uint8Array(ROWS * rowBytes(type, COLUMNS));
  blockFormat(type).encode!(values, encoded, COLUMNS, importance);
  return encoded;
}

const COARSE: readonly GgmlType[] = [
  'IQ1_S',
  'IQ1_M',
  'IQ2_XXS',
  'IQ2_XS',
  'IQ2_S',
  'Q2_K',
  'IQ3_XXS',
  'IQ3_S',
  'Q3_K',
];

describe('unbiasRows', () => {
  it.each(COARSE)('gives rows of %s the length of the original along it', (type) => {
    const values = weights();
    const encoded = encode(type, values);
    const before = shrinkage(type, encoded, values);
    unbiasRows(type, encoded, values, COLUMNS, importance);
    for (const [row, ratio] of shrinkage(type, encoded, values).entries()) {
      const wanted = type.startsWith('IQ1') ? before[row]! + 0.7 * (1 - before[row]!) : 1;
      expect(ratio).toBeCloseTo(wanted, 2);
    }
  });

  it('leaves finer types and rows without weights alone', () => {
    const values = weights();
    for (const type of ['Q4_K', 'Q8_0'] as const) {
      const encoded = encode(type, values);
      const before = encoded.slice();
      unbiasRows(type, encoded, values, COLUMNS, importance);
      expect(encoded).toEqual(before);
    }
    const zeros = new Float32Array(values.length);
    const encoded = encode('IQ2_S', zeros);
    const before = encoded.slice();
    unbiasRows('IQ2_S', encoded, zeros, COLUMNS, importance);
    expect(encoded).toEqual(before);
  });
});
