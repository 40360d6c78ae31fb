import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgmlType, rowBytes } from '../../formats/ggml-types.js';
import { compiledSearches } from './compiled.js';
import { ENCODERS, searchingEncoders } from './index.js';

const root = new URL('../../../', import.meta.url);
const floatsOf = (name: string) =>
  new Float32Array(Uint8Array.from(readFileSync(new URL(`test/data/ggml/${name}`, root))).buffer);
const module = await WebAssembly.compile(readFileSync(new URL('dist/encoders.wasm', root)));
const encoders = searchingEncoders(compiledSearches(module));
const types = Object.keys(encoders) as GgmlType[];

function expectSameBytes(
  type: GgmlType,
  source: Float32Array,
  columns: number,
  importance?: Float32Array,
): void {
  const expected = new Uint8Array((source.length / columns) * rowBytes(type, columns));
  const found = expected.slice();
  ENCODERS[type]!(source, expected, columns, importance);
  encoders[type]!(source, found, columns, importance);
  expect(Buffer.compare(found, expected)).toBe(0);
}

describe.each(types)('compiled %s', (type) => {
  it('writes the bytes of the reference for the sample rows', () => {
    const source = floatsOf('input.f32');
    expectSameBytes(type, source, 1024);
    expectSameBytes(type, source, 1024, floatsOf('imatrix.f32'));
  });

  it('writes the bytes of the reference for arbitrary rows', () => {
    const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
    const usual = fc.float({ min: -1, max: 1, noNaN: true });
    const row = (weight: fc.Arbitrary<number>) => fc.array(weight, { minLength: 256, maxLength: 256 });
    const importance = fc.option(row(fc.float({ min: 0, max: 100, noNaN: true })), { nil: undefined });
    fc.assert(
      fc.property(fc.oneof(row(anyFloat), row(usual)), importance, (weights, important) => {
        expectSameBytes(type, Float32Array.from(weights), 256, important && Float32Array.from(important));
      }),
      { numRuns: 8, seed: 11 },
    );
  });

  it('writes the bytes of the reference for zeros and for a constant row', () => {
    expectSameBytes(type, new Float32Array(256), 256);
    expectSameBytes(type, new Float32Array(256).fill(-0.3), 256);
  });
});
