import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ggmlType, parseGgmlType } from '../formats/ggml-types.js';
import { blockFormat, WEIGHT_TYPES } from './index.js';

const data = new URL('../../test/data/ggml/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('manifest.json', data), 'utf8')) as {
  types: { type: string; imatrix: boolean; data: string; dequantized: string }[];
};

/** What ggml's own quantizers wrote, and what ggml decodes it to. */
const samples = manifest.types.map(({ type, imatrix, data: encoded, dequantized }) => ({
  type: parseGgmlType(type),
  label: imatrix ? `${type} with importance` : type,
  encoded: new Uint8Array(readFileSync(new URL(encoded, data))),
  bits: new Uint32Array(Uint8Array.from(readFileSync(new URL(dequantized, data))).buffer),
}));

describe.each(samples)('$label', ({ type, encoded, bits }) => {
  it('decodes to the bit patterns of ggml', () => {
    const target = new Float32Array(bits.length);
    blockFormat(type).decode(encoded, target);
    expect(Buffer.compare(Buffer.from(target.buffer), Buffer.from(bits.buffer))).toBe(0);
  });

  it('decodes an unaligned view, a single block and nothing', () => {
    const { blockSize, typeSize } = ggmlType(type);
    const shifted = new Uint8Array(typeSize + 1);
    shifted.set(encoded.subarray(0, typeSize), 1);
    const target = new Float32Array(blockSize + 2).fill(7);
    blockFormat(type).decode(shifted.subarray(1), target.subarray(1, blockSize + 1));
    expect(new Uint32Array(target.buffer, 4, blockSize)).toEqual(bits.subarray(0, blockSize));
    expect([target[0], target[blockSize + 1]]).toEqual([7, 7]);
    blockFormat(type).decode(new Uint8Array(0), new Float32Array(0));
  });

  it('refuses lengths that do not belong together', () => {
    const { blockSize, typeSize } = ggmlType(type);
    const decode = (bytes: number, weights: number) =>
      blockFormat(type).decode(new Uint8Array(bytes), new Float32Array(weights));
    expect(() => decode(typeSize, 2 * blockSize)).toThrow(`${typeSize} bytes of ${type} are not the blocks`);
    expect(() => decode(typeSize - 1, blockSize)).toThrow(/are not the blocks/);
  });
});

it('has samples of every type but F32', () => {
  const sampled = new Set(samples.map(({ type }) => type));
  expect(WEIGHT_TYPES.filter((type) => !sampled.has(type))).toEqual(['F32']);
});

it('has no format for types that do not hold weights', () => {
  expect(() => blockFormat('I32')).toThrow('tensor type I32 does not hold weights');
});
