import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectMembers, objectText } from './json-text.js';

describe('objectMembers', () => {
  it('keeps every value as it is spelled', () => {
    const text = '{ "a" : 1.0,\n"b": [1, {"a": ","}], "c\\"": "}", "d": {"e": {}}, "f":-1e-05 }';
    expect([...objectMembers(text)]).toEqual([
      ['a', '1.0'],
      ['b', '[1, {"a": ","}]'],
      ['c"', '"}"'],
      ['d', '{"e": {}}'],
      ['f', '-1e-05'],
    ]);
    expect(objectMembers('{}').size).toBe(0);
  });

  it('makes up the object again', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const again = objectText(objectMembers(JSON.stringify(object)));
        expect(JSON.parse(again)).toEqual(JSON.parse(JSON.stringify(object)));
      }),
    );
  });
});
