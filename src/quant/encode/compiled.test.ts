import { describe, expect, it } from 'vitest';
import { ggmlType, rowBytes } from '../../formats/ggml-types.js';
import { COMPILED_TYPES, compiledEncoder } from './compiled.js';

const COLUMNS = 2 * 8192 + 256;
const source = Float32Array.from({ length: 2 * COLUMNS }, (_, i) => Math.sin(i * i) ** 3);
const importance = Float32Array.from({ length: COLUMNS }, (_, i) => 1 + Math.cos(3 * i));

describe.each(COMPILED_TYPES)('compiled %s', (type) => {
  const encode = compiledEncoder(type);
  const { blockSize, typeSize } = ggmlType(type);

  it('encodes rows longer than what passes into WebAssembly at a time like their blocks', () => {
    const rows = new Uint8Array(2 * rowBytes(type, COLUMNS));
    encode(source, rows, COLUMNS);
    for (const start of [0, 8192 - blockSize, 8192, 16384, COLUMNS + 8192]) {
      const block = new Uint8Array(typeSize);
      encode(source.subarray(start, start + blockSize), block, blockSize);
      const at = (start / blockSize) * typeSize;
      expect(rows.subarray(at, at + typeSize)).toEqual(block);
    }
  });

  it('weighs every column by its own importance, in every row', () => {
    const rows = new Uint8Array(2 * rowBytes(type, COLUMNS));
    encode(source, rows, COLUMNS, importance);
    const second = new Uint8Array(rowBytes(type, COLUMNS));
    encode(source.subarray(COLUMNS), second, COLUMNS, importance);
    expect(Buffer.compare(rows.subarray(second.length), second)).toBe(0);
  });
});
