import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findJsonFault } from './json-text.js';
import { decodeUtf8, hasLoneSurrogate, quote } from './text.js';

test('decodeUtf8 gives back well-formed text, a byte order mark included, and refuses the rest', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const bytes = Buffer.from(`\ufeff${text}`);
      expect(decodeUtf8(bytes, 0, bytes.length)).toBe(`\ufeff${text}`);
    }),
  );
  expect(decodeUtf8(Buffer.from([0x61, 0xc3]), 0, 2)).toBeUndefined();
  expect(decodeUtf8(Buffer.from([0xed, 0xa0, 0x80]), 0, 3)).toBeUndefined();
});

test('quote keeps to one line without control characters', () => {
  expect(quote('a\n\u001b[31m\u009b\u202e')).toBe('"a\\n\\u001b[31m\\u009b\\u202e"');
  expect(quote('x'.repeat(99), 3)).toBe('"xxx…"');
  expect(hasLoneSurrogate('🦙')).toBe(false);
  expect(hasLoneSurrogate('🦙'.slice(1))).toBe(true);
});

test('findJsonFault finds no fault in what JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      expect(findJsonFault(JSON.stringify(value, null, 1), 10)).toBeUndefined();
    }),
  );
});

test('findJsonFault finds doubled keys, escaped or not, and deep nesting', () => {
  const twice = { kind: 'duplicate-key', key: 'a' };
  expect(findJsonFault('{"a":1,"b":{"a":2},"a" :3}', 3)).toEqual(twice);
  expect(findJsonFault('{"a":1,"\\u0061":3}', 3)).toEqual(twice);
  expect(findJsonFault('[{"x":{"a":[],"a":0}}]', 4)).toEqual(twice);
  expect(findJsonFault('{"a":"a\\":","b":["a","a"]}', 3)).toBeUndefined();
  expect(findJsonFault('['.repeat(9), 8)).toEqual({ kind: 'too-deep' });
});

test('findJsonFault lets any text pass without throwing', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      findJsonFault(`{"${text}`, 3);
    }),
  );
});
