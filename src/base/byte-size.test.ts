import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatBytes, parseByteSize } from './byte-size.js';

test.each([
  ['500M', 500e6],
  ['2G', 2e9],
  ['33.8GB', 33.8e9],
  ['24GiB', 24 * 2 ** 30],
  ['1.5 kib', 1536],
  ['1000000', 1e6],
  ['7b', 7],
])('parses %s', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes);
});

test.each(['', 'G', '-1G', '0', '1e9', '5X', '4iB', '1GG', '99999999P'])('refuses %j', (text) => {
  expect(() => parseByteSize(text)).toThrow(expect.objectContaining({ kind: 'usage', code: 'bad-size' }));
});

test('formats in powers of 1000', () => {
  expect([0, 999, 1000, 999_949, 999_950, 33.8e9].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '999.9 kB',
    '1.00 MB',
    '33.8 GB',
  ]);
});

test('what is formatted parses to nearly the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) => {
      expect(Math.abs(parseByteSize(formatBytes(bytes)) / bytes - 1)).toBeLessThan(0.006);
    }),
  );
});
