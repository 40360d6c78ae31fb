import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sampler } from '../sampler.js';
import { END_OF_TURN, wordTokenizer } from '../testing/byte-grammar-tokenizer.js';
import { validates } from '../testing/validate.js';
import { Automaton } from './automaton.js';
import { jsonObjectGrammar, jsonSchemaGrammar } from './json-schema.js';
import type { MatchState } from './match-state.js';
import { rebaseReferences } from './rebase-references.js';
import { TokenGrammar } from './token-grammar.js';

const noTokens = () => undefined;

function matches(schema: unknown, text: string): boolean {
  let state: MatchState | undefined = new Automaton(jsonSchemaGrammar(schema), noTokens).start;
  for (const byte of new TextEncoder().encode(text)) state = state?.step(byte);
  return state?.mayEnd ?? false;
}

function cases(schema: unknown, valid: readonly unknown[], invalid: readonly unknown[]): void {
  const rejected = valid.filter((value) => !matches(schema, JSON.stringify(value)));
  const accepted = invalid.filter((value) => matches(schema, JSON.stringify(value)));
  expect({ rejected, accepted }).toEqual({ rejected: [], accepted: [] });
  for (const value of valid) expect([value, validates(schema, value)]).toEqual([value, true]);
}

describe('a schema', () => {
  it('of simple types', () => {
    cases({ type: 'string' }, ['', 'a"\\\n\u0001é🦙'], [1, null, ['a']]);
    cases({ type: 'integer' }, [0, -1, 123456], [1.5, '1', true]);
    cases({ type: 'number' }, [0, -1.25, 1e30], ['1']);
    cases({ type: 'boolean' }, [true, false], [0]);
    cases({ type: ['null', 'boolean'] }, [null, true], [0]);
    cases(true, [null, [1, { a: [] }], 'x'], []);
    cases({ title: 'anything' }, [null, [1, { a: [] }], 'x'], []);
  });

  it('of given values', () => {
    cases({ enum: ['a"b', 1, null, { x: [1] }] }, ['a"b', 1, null, { x: [1] }], ['a', 2]);
    cases({ const: 'a' }, ['a'], ['b']);
    cases({ type: 'string', enum: ['a', 1] }, ['a'], [1]);
  });

  it('of objects', () => {
    const person = {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' }, email: { type: 'string' } },
      required: ['name'],
      additionalProperties: false,
    };
    cases(
      person,
      [{ name: '' }, { name: 'a', age: 1 }, { name: 'a', email: 'b' }, { name: 'a', age: 1, email: '' }],
      [{}, { age: 1 }, { name: 'a', x: 1 }, { name: 1 }],
    );
    const optional = { properties: { a: { type: 'null' }, b: { type: 'null' }, c: { type: 'null' } } };
    cases(optional, [{}, { a: null }, { b: null }, { a: null, c: null }, { c: null }], [{ a: 1 }]);
    cases({ type: 'object' }, [{}, { a: 1, b: [{}] }], [[]]);
    cases({ type: 'object', properties: {}, additionalProperties: false }, [{}], [{ a: 1 }]);
    cases({ type: 'object', required: ['x'] }, [{ x: 1 }], [{}]);
    expect(matches(person, '{\n  "name": "x", "age": 3\n}')).toBe(true);
  });

  it('of objects with further members', () => {
    const numbers = { type: 'object', additionalProperties: { type: 'integer' } };
    cases(numbers, [{}, { a: 1 }, { a: 1, b: 2 }], [{ a: 'x' }]);
    const mixed = {
      type: 'object',
      properties: { name: { type: 'string' }, nam: { type: 'boolean' }, 'ü"': { type: 'null' } },
      additionalProperties: { type: 'integer' },
    };
    cases(
      mixed,
      [{ name: 'a' }, { name: 'a', nam: true, names: 1, na: 2, '': 3, x: 4, ü: 5 }],
      [{ name: 1 }, { nam: 1 }, { x: 'a' }],
    );
    expect(matches(mixed, '{"\\u006eame":1}')).toBe(false);
  });

  it('of arrays', () => {
    cases({ type: 'array', items: { type: 'integer' } }, [[], [1], [1, 2, 3]], [['a'], [1, 'a']]);
    cases(
      { type: 'array', items: { type: 'integer' }, minItems: 2, maxItems: 3 },
      [
        [1, 2],
        [1, 2, 3],
      ],
      [[], [1], [1, 2, 3, 4]],
    );
    cases({ type: 'array', maxItems: 0 }, [[]], [[1]]);
    cases({ type: 'array', maxItems: 1 }, [[], [{}]], [[1, 2]]);
    cases({ type: 'array' }, [[], [1, 'a', [null]]], [{}]);
    const pair = { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }] };
    cases(
      pair,
      [['a', 1]],
      [
        [1, 'a'],
        ['a', 1, 2],
      ],
    );
    cases(
      { ...pair, items: { type: 'null' } },
      [
        ['a', 1],
        ['a', 1, null],
      ],
      [['a', 1, 2]],
    );
    cases({ ...pair, items: false, minItems: 2 }, [['a', 1]], [['a', 1, 1]]);
    cases({ ...pair, maxItems: 1 }, [['a']], [['a', 1]]);
    cases(
      { items: [{ type: 'string' }], additionalItems: { type: 'null' } },
      [['a'], ['a', null]],
      [['a', 1]],
    );
  });

  it('of strings by length, pattern and format', () => {
    cases({ type: 'string', minLength: 2, maxLength: 3 }, ['ab', '🦙🦙🦙', '"\n'], ['a', 'abcd']);
    cases({ type: 'string', pattern: '^[a-c]+\\d{2}$' }, ['a12', 'abc00'], ['12', 'a1', 'd11', 'xa12']);
    cases({ pattern: 'b|^a.c$' }, ['b', 'xbx', 'abc', 'a"c', 'a\\c'], ['ac', 'a\nc']);
    cases({ pattern: '^(?:\\w\\s|[^"\\u0020-\\uffff])$' }, ['a\t', '\n', '🦙'], ['a', '"']);
    cases(
      { format: 'date' },
      ['2024-02-29', '1999-12-31', '2000-02-29'],
      ['2023-02-29', '1900-02-29', '2024-04-31', '2024-13-01'],
    );
    cases(
      { format: 'date-time' },
      ['2024-02-29T23:59:59.5Z', '2024-01-01T00:00:00+09:00'],
      ['2024-02-29 23:59:59Z'],
    );
    cases({ format: 'time' }, ['23:59:59Z'], ['24:00:00Z']);
    cases({ format: 'uuid' }, ['123e4567-e89b-12d3-a456-426614174000'], ['123e4567']);
    cases({ format: 'color' }, ['red'], []);
  });

  it('of numbers in a range', () => {
    const whole = fc.oneof(fc.integer({ min: -2000, max: 2000 }), fc.maxSafeInteger());
    fc.assert(
      fc.property(whole, whole, fc.array(whole, { maxLength: 8 }), fc.boolean(), (a, b, others, isOpen) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b) + 2];
        const schema = isOpen
          ? { type: 'integer', exclusiveMinimum: low, exclusiveMaximum: high }
          : { type: 'integer', minimum: low, maximum: high };
        const automaton = new Automaton(jsonSchemaGrammar(schema), noTokens);
        for (const value of [low - 1, low, low + 1, high - 1, high, high + 1, 0, ...others]) {
          if (Math.abs(value) >= 1e16) continue;
          let state: MatchState | undefined = automaton.start;
          for (const byte of new TextEncoder().encode(String(value))) state = state?.step(byte);
          expect([value, state?.mayEnd ?? false]).toEqual([value, validates(schema, value)]);
        }
      }),
      { numRuns: 200 },
    );
    cases({ type: 'number', minimum: 0, maximum: 1 }, [0, 0.5, 1], [1.5, -0.5, 2]);
    cases({ type: 'number', exclusiveMinimum: -2, maximum: 1.5 }, [-1.5, -1, 0, 0.25, 1], [-2, 1.75, -2.5]);
    cases({ type: 'integer', minimum: 3 }, [3, 10, 99999], [2, -3]);
    cases({ type: 'integer', maximum: -3 }, [-3, -10], [-2, 0]);
  });

  it('of alternatives, parts and references', () => {
    cases({ anyOf: [{ type: 'string' }, { type: 'null' }] }, ['a', null], [1]);
    const shape = {
      oneOf: [
        {
          properties: { kind: { const: 'circle' }, radius: { type: 'number' } },
          required: ['kind', 'radius'],
        },
        { properties: { kind: { const: 'point' } }, required: ['kind'] },
      ],
      type: 'object',
    };
    cases(
      shape,
      [{ kind: 'circle', radius: 1 }, { kind: 'point' }],
      [{ kind: 'circle' }, { kind: 'square' }],
    );
    const both = {
      allOf: [
        { properties: { a: { type: 'integer', minimum: 1 } }, required: ['a'] },
        {
          properties: { a: { maximum: 3 }, b: { type: 'null' } },
          required: ['b'],
          additionalProperties: false,
        },
      ],
    };
    cases(both, [{ a: 2, b: null }], [{ a: 5, b: null }, { a: 2 }]);
    const tree = {
      $ref: '#/$defs/node',
      $defs: {
        node: {
          type: 'object',
          properties: {
            value: { type: 'integer' },
            children: { type: 'array', items: { $ref: '#/$defs/node' } },
          },
          required: ['value'],
        },
      },
    };
    cases(
      tree,
      [{ value: 1 }, { value: 1, children: [{ value: 2, children: [] }] }],
      [{ value: 1, children: [1] }],
    );
    const list = { type: ['object', 'null'], properties: { next: { $ref: '#', description: 'the rest' } } };
    cases(list, [null, { next: { next: null } }], [{ next: 1 }]);
    cases(
      { $ref: '#/$defs/a~1b%20', maximum: 3, $defs: { 'a/b ': { type: 'integer', minimum: 1 } } },
      [],
      [0, 4, 'a'],
    );
  });

  it('within another', () => {
    const tree = {
      type: 'object',
      properties: { left: { $ref: '#' }, leaf: { $ref: '#/$defs/leaf' }, $ref: { const: { $ref: '#' } } },
      $defs: { leaf: { type: 'integer' } },
    };
    const outer = { type: 'object', properties: { tree: rebaseReferences(tree, '#/properties/tree') } };
    cases(
      outer,
      [{ tree: { left: { leaf: 1 } } }, { tree: { $ref: { $ref: '#' } } }],
      [{ tree: { left: { leaf: 'a' } } }, { tree: { left: { tree: {} } } }],
    );
  });

  it.each<[string, unknown, string, RegExp]>([
    ['no schema', 3, 'json-schema-invalid', /at #: expected a schema, found 3/],
    ['an unknown type', { type: 'text' }, 'json-schema-invalid', /#\/type: expected one of/],
    [
      'a wrong keyword',
      { properties: { a: { minLength: -1 } } },
      'json-schema-invalid',
      /a\/minLength: expected a count/,
    ],
    ['a lost reference', { $ref: '#/$defs/x' }, 'json-schema-invalid', /name a schema/],
    ['another file', { $ref: 'http://example.com/x' }, 'json-schema-unsupported', /begin with/],
    ['not', { not: {} }, 'json-schema-unsupported', /'not'/],
    ['false', { type: 'array', items: false, minItems: 1 }, 'json-schema-unsupported', /possible/],
    [
      'types without a common one',
      { type: 'string', allOf: [{ type: 'null' }] },
      'json-schema-unsupported',
      /common type/,
    ],
    ['look-ahead', { pattern: '^(?=a)b$' }, 'json-schema-unsupported', /a group at character 3/],
    ['a back reference', { pattern: '(a)\\1' }, 'json-schema-unsupported', /escape/],
    ['an anchor within', { pattern: 'a(^b)' }, 'json-schema-unsupported', /a character/],
    ['a pattern and a length', { pattern: 'a', minLength: 3 }, 'json-schema-unsupported', /several/],
    ['no number', { type: 'number', minimum: 0.2, maximum: 0.8 }, 'json-schema-unsupported', /whole number/],
    ['itself', { $ref: '#' }, 'grammar-matches-nothing', /match/],
    ['itself among others', { anyOf: [{ $ref: '#' }, true] }, 'grammar-left-recursion', /begin with itself/],
    ['endless parts', { allOf: [{ $ref: '#' }, {}] }, 'json-schema-unsupported', /deep/],
    [
      'nothing finite',
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
      'grammar-matches-nothing',
      /match/,
    ],
  ])('is refused: %s', (_, schema, code, message) => {
    const make = () => new Automaton(jsonSchemaGrammar(schema), noTokens);
    expect(make).toThrow(expect.objectContaining({ code }));
    expect(make).toThrow(message);
  });
});

// Words that a model would like to write, across the borders of JSON's own tokens.
const tokenizer = wordTokenizer([
  '"a',
  '":',
  '": "',
  '{"',
  '"}',
  '", "',
  '[1',
  ', ',
  ']}',
  'true',
  'null',
  '12',
  '\\u',
  '🦙',
  '\xff',
]);
const stops = new Set([END_OF_TURN]);

/** Tokens by random logits until the text ends; undefined when it has not after `most` tokens. */
function writeAtRandom(grammar: TokenGrammar, seed: number, most = 400): string | undefined {
  const sampler = new Sampler({ temperature: 1, topP: 1, minP: 0, seed }, tokenizer.vocabSize);
  const run = grammar.start(stops);
  const ids: number[] = [];
  while (!run.mustEnd && ids.length < most) {
    const logits = new Float32Array(tokenizer.vocabSize);
    // Ends become likelier with time, so that most texts have one.
    for (const close of [...'"}],'].map((c) => c.charCodeAt(0))) logits[close] = ids.length / 20;
    logits[END_OF_TURN] = 8;
    run.mask(logits);
    const id = sampler.sample(logits, ids);
    run.accept(id);
    if (id === END_OF_TURN)
      return new TextDecoder('utf-8', { fatal: true }).decode(tokenizer.decodeBytes(ids));
    ids.push(id);
  }
  return run.mustEnd
    ? new TextDecoder('utf-8', { fatal: true }).decode(tokenizer.decodeBytes(ids))
    : undefined;
}

const leaf: fc.Arbitrary<object> = fc.oneof(
  fc.constantFrom(
    { type: 'string' },
    { type: 'boolean' },
    { type: 'null' },
    { type: 'number' },
    { type: 'object' },
  ),
  fc.record({
    type: fc.constant('string'),
    minLength: fc.nat({ max: 4 }),
    maxLength: fc.integer({ min: 4, max: 9 }),
  }),
  fc.constantFrom(
    { format: 'date', type: 'string' },
    { type: 'string', format: 'uuid' },
    { type: 'string', format: 'time' },
  ),
  fc.constantFrom('^a+b?$', '[0-9]{2}', '^\\w*"\\W$').map((pattern) => ({ type: 'string', pattern })),
  fc.tuple(fc.integer({ min: -200, max: 50 }), fc.nat({ max: 300 })).map(([low, more]) => ({
    type: 'integer',
    minimum: low,
    maximum: low + more,
  })),
  fc.tuple(fc.integer({ min: -20, max: 5 }), fc.integer({ min: 2, max: 30 })).map(([low, more]) => ({
    type: 'number',
    exclusiveMinimum: low,
    exclusiveMaximum: low + more,
  })),
  fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 3 }).map((values) => ({ enum: values })),
);
const anySchema: fc.Arbitrary<object> = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.record({
      type: fc.constant('array'),
      items: tie('schema'),
      minItems: fc.nat({ max: 2 }),
      maxItems: fc.integer({ min: 2, max: 4 }),
    }),
    fc.record({
      type: fc.constant('array'),
      prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }),
    }),
    fc
      .tuple(
        fc.dictionary(fc.constantFrom('a', 'ab', 'b"', 'ü'), tie('schema'), { maxKeys: 3 }),
        fc.array(fc.constantFrom('a', 'ab', 'z')),
        fc.constantFrom<unknown>(undefined, { type: 'integer' }, true),
      )
      .map(([properties, required, additionalProperties]) => ({
        type: 'object',
        properties,
        required: [...new Set(required)],
        ...(additionalProperties === undefined ? {} : { additionalProperties }),
      })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
})).schema;

describe('whatever the weights', () => {
  it('what ends is valid', () => {
    let ended = 0;
    fc.assert(
      fc.property(anySchema, fc.nat(), (schema, seed) => {
        const grammar = new TokenGrammar(jsonSchemaGrammar(schema), tokenizer);
        const text = writeAtRandom(grammar, seed);
        if (text === undefined) return;
        ended++;
        expect(validates(schema, JSON.parse(text))).toBe(true);
      }),
      { numRuns: 120 },
    );
    expect(ended).toBeGreaterThan(70);
  });

  it('any object is one', () => {
    const grammar = new TokenGrammar(jsonObjectGrammar(), tokenizer);
    const texts = Array.from({ length: 40 }, (_, seed) => writeAtRandom(grammar, seed)).filter(
      (text) => text,
    );
    expect(texts.length).toBeGreaterThan(20);
    for (const text of texts) expect(validates({ type: 'object' }, JSON.parse(text!))).toBe(true);
  });
});
