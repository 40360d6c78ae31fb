import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseGgmlType, rowBytes } from '../../formats/ggml-types.js';
import { blockFormat } from '../index.js';
import { ENCODERS } from './index.js';

const data = new URL('../../../test/data/ggml/', import.meta.url);
const bytesOf = (name: string) => Uint8Array.from(readFileSync(new URL(name, data)));
const floatsOf = (name: string) => new Float32Array(bytesOf(name).buffer);

interface Sample {
  type: string;
  imatrix: boolean;
  data: string;
  dequantized: string;
}
const manifest = JSON.parse(readFileSync(new URL('manifest.json', data), 'utf8')) as {
  rows: number;
  cols: number;
  types: Sample[];
};
const { rows, cols } = manifest;
const input = floatsOf('input.f32');
const importance = floatsOf('imatrix.f32');

/** Σw(x̂ − x)² / Σwx² of one row; without weights w = 1. */
function rowError(decoded: Float32Array, row: number, weights?: Float32Array): number {
  let error = 0;
  let total = 0;
  for (let column = 0; column < cols; column++) {
    const value = input[row * cols + column]!;
    const weight = weights?.[column] ?? 1;
    error += weight * (decoded[row * cols + column]! - value) ** 2;
    total += weight * value * value;
  }
  return error / total;
}

const samples = manifest.types
  .map((sample) => ({ ...sample, type: parseGgmlType(sample.type) }))
  .filter(({ type }) => ENCODERS[type]);

describe.each(samples)('$type, importance: $imatrix', ({ type, imatrix, data: encoded, dequantized }) => {
  const weights = imatrix ? importance : undefined;
  const target = new Uint8Array(rows * rowBytes(type, cols));
  ENCODERS[type]!(input, target, cols, weights);

  if (type === 'F16' || type === 'BF16' || type === 'Q8_0') {
    it('writes the bytes of ggml', () => {
      expect(Buffer.compare(target, bytesOf(encoded))).toBe(0);
    });
  }

  it('has no higher error than ggml on any row', () => {
    const decoded = new Float32Array(input.length);
    blockFormat(type).decode(target, decoded);
    const reference = floatsOf(dequantized);
    for (let row = 0; row < rows; row++) {
      expect(rowError(decoded, row, weights)).toBeLessThanOrEqual(rowError(reference, row, weights));
    }
  });
});
