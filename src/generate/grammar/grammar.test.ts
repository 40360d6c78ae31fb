import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Automaton } from './automaton.js';
import { complement, mergeRanges, utf8Forms } from './character-ranges.js';
import type { CharacterRange } from './expression.js';
import type { MatchState } from './match-state.js';
import { parseGbnf } from './parse-gbnf.js';

const encoder = new TextEncoder();

/** Whether the whole text matches, and whether it begins one that does. */
function match(automaton: Automaton, text: string | Uint8Array): 'whole' | 'begun' | 'no' {
  let state: MatchState | undefined = automaton.start;
  for (const byte of typeof text === 'string' ? encoder.encode(text) : text) state = state?.step(byte);
  if (state === undefined) return 'no';
  return state.mayEnd ? 'whole' : 'begun';
}

const automatonOf = (gbnf: string) =>
  new Automaton(parseGbnf(gbnf), (text) => (text === '<|a|>' ? 7 : undefined));

function cases(
  gbnf: string,
  whole: readonly string[],
  begun: readonly string[],
  no: readonly string[],
): void {
  const automaton = automatonOf(gbnf);
  for (const text of whole) expect([text, match(automaton, text)]).toEqual([text, 'whole']);
  for (const text of begun) expect([text, match(automaton, text)]).toEqual([text, 'begun']);
  for (const text of no) expect([text, match(automaton, text)]).toEqual([text, 'no']);
}

describe('GBNF', () => {
  it('reads texts, classes and repetitions', () => {
    cases('root ::= "ab"* [c-e]+ "f"?', ['c', 'ababde', 'cf'], ['', 'ab', 'a'], ['b', 'aba b', 'cff']);
    cases('root ::= [^a-z\\n]{2,3}', ['AB', '12Ü', '猫🦙!'], ['', 'A'], ['a', 'A\n', 'ABCD']);
    cases('root ::= "x"{2}', ['xx'], ['x'], ['xxx']);
    cases('root ::= "x"{2,}', ['xx', 'xxxxx'], ['x'], ['y']);
    cases('root ::= .{0,2}', ['', 'é', '\n猫'], [], ['abc']);
    cases('root ::= [a-] [-+] [\\]^]', ['a-]', '-+^'], ['a'], ['b']);
  });

  it('reads escapes', () => {
    cases(
      'root ::= "\\x41\\u732b\\U0001f999\\n\\t\\r\\\\\\"" [\\u3042-\\u3044]',
      ['A猫🦙\n\t\r\\"い'],
      ['A'],
      ['B'],
    );
  });

  it('reads groups, alternatives, rules, comments and lines', () => {
    cases(
      `# a list
       root ::= ( # one or more
         item ("," item)*
       ) | # or
         "none"
       item ::= "a" | "b" ;
      `.replace(' ;', ''),
      ['a', 'a,b,a', 'none'],
      ['a,', 'no'],
      ['aa', ','],
    );
    cases('root ::= ("a" | )', ['', 'a'], [], ['b']);
  });

  it('reads recursive rules', () => {
    const nested = 'root ::= value\nvalue ::= "[" (value ("," value)*)? "]" | [0-9]+';
    cases(nested, ['[]', '[1,[22,[]]]', '[[[[[[]]]]]]'], ['[', '[[1],'], [']', '[1]]', '[,1]']);
    cases('root ::= "a" root "b" | ""', ['', 'ab', 'aaabbb'], ['aab'], ['abb', 'b']);
  });

  it('goes on forever without more memory', () => {
    const automaton = automatonOf('root ::= item | item root\nitem ::= [a-z] "," | ""? "x"');
    let state: MatchState | undefined = automaton.start;
    const seen = new Set<MatchState>();
    for (let i = 0; i < 5000; i++) {
      for (const byte of encoder.encode('a,x')) state = state?.step(byte);
      seen.add(state!);
    }
    expect(seen.size).toBe(1);
  });

  it('follows tokens that it names', () => {
    const automaton = automatonOf('root ::= <|a|> "x" <[9]>');
    expect([...automaton.start.tokens]).toEqual([7]);
    expect(automaton.start.step(0x78)).toBeUndefined();
    const last = automaton.start.stepToken(7)?.step(0x78);
    expect(last && [...last.tokens]).toEqual([9]);
    expect(last?.stepToken(9)).toMatchObject({ mayEnd: true, mustEnd: true });
  });

  it.each([
    ['a rule', 'grammar-syntax', '= "a"', /expected a rule at line 1, column 1, found "="/],
    ['::=', 'grammar-syntax', 'root = "a"', /expected '::=' at line 1, column 6/],
    ['a quote', 'grammar-syntax', 'root ::= "a', /expected '"' at line 1, column 12, found the end/],
    ['a bracket', 'grammar-syntax', 'root ::= [a', /expected '\]'/],
    ['a parenthesis', 'grammar-syntax', 'root ::= ("a"\n\n', /expected '\)' at line 3/],
    ['a known escape', 'grammar-syntax', 'root ::= "\\q"', /expected an escape/],
    ['digits', 'grammar-syntax', 'root ::= "\\u12g4"', /expected 4 hexadecimal digits/],
    ['an ascending range', 'grammar-syntax', 'root ::= [z-a]', /ascending/],
    ['a count', 'grammar-syntax', 'root ::= "a"{x}', /expected 'm}'/],
    ['an ascending count', 'grammar-syntax', 'root ::= "a"{3,2}', /a number from 3 up/],
    ['a new line', 'grammar-syntax', 'root ::= "a" )', /expected a new line at line 1, column 14/],
    ['a repeated symbol', 'grammar-syntax', 'root ::= *', /expected a new line/],
    ['one rule of a name', 'grammar-duplicate-rule', 'root ::= "a"\nroot ::= "b"', /given again at line 2/],
    ['a rule of the name', 'grammar-undefined-rule', 'root ::= other', /'other', used at line 1, column 10/],
    ['a root', 'grammar-no-root', 'a ::= "a"', /found none/],
    ['a known token', 'grammar-unknown-token', 'root ::= <|b|>', /<\|b\|>/],
    ['a rule that ends', 'grammar-matches-nothing', 'root ::= "a" root', /matches/],
    ['a class of something', 'grammar-matches-nothing', 'root ::= []', /matches/],
    ['no left recursion', 'grammar-left-recursion', 'root ::= "a" | root "b"', /'root'/],
    ['none over others', 'grammar-left-recursion', 'root ::= a\na ::= "x"? b\nb ::= a "y" | "z"', /begin/],
    ['shallow groups', 'grammar-too-large', `root ::= ${'('.repeat(300)}"a"${')'.repeat(300)}`, /200 groups/],
    ['few repetitions', 'grammar-too-large', 'root ::= ((("a"{999}){999}){999}){999}', /steps/],
    ['many of nothing', 'grammar-too-large', 'root ::= (("" "a"?){999999}){999999}', /steps/],
  ])('refuses all but %s', (_, code, gbnf, message) => {
    expect(() => automatonOf(gbnf)).toThrow(expect.objectContaining({ kind: 'usage', code }));
    expect(() => automatonOf(gbnf)).toThrow(message);
  });

  it('leaves out what cannot be completed', () => {
    cases('root ::= "a" | "b" stuck\nstuck ::= "c" stuck', ['a'], [''], ['b', 'bc']);
  });

  it('takes repetitions of nothing', () => {
    cases('root ::= (""{999999999})* ("a"?)* (""*)+', ['', 'aa'], [], ['b']);
  });

  it('stops at hostile ambiguity', () => {
    const rules = Array.from({ length: 30 }, (_, i) => `r${i} ::= r${i + 1} "1" | r${i + 1} "2"`);
    const gbnf = ['root ::= r0', ...rules, 'r30 ::= "x"'].join('\n');
    expect(() => automatonOf(gbnf)).toThrow(expect.objectContaining({ code: 'grammar-too-ambiguous' }));
  });
});

/** The same language as GBNF and as a regular expression. */
interface Twin {
  readonly gbnf: string;
  readonly regExp: string;
}

const ALPHABET = ['a', 'b', 'é', '猫', '🦙'];
const twin: fc.Arbitrary<Twin> = fc.letrec<{ twin: Twin }>((tie) => ({
  twin: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(...ALPHABET).map((c) => ({ gbnf: `"${c}"`, regExp: c })),
    fc.constantFrom('[ab]', '[^a]', '[^é猫]', '[a-é]', '[猫-🦙]').map((c) => ({ gbnf: c, regExp: c })),
    fc.array(tie('twin'), { minLength: 1, maxLength: 3 }).map((parts) => ({
      gbnf: `(${parts.map((part) => part.gbnf).join(' ')})`,
      regExp: `(?:${parts.map((part) => part.regExp).join('')})`,
    })),
    fc.array(tie('twin'), { minLength: 2, maxLength: 3 }).map((parts) => ({
      gbnf: `(${parts.map((part) => part.gbnf).join(' | ')})`,
      regExp: `(?:${parts.map((part) => part.regExp).join('|')})`,
    })),
    fc
      .tuple(tie('twin'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{0,3}', '{1,}'))
      .map(([body, count]) => ({
        gbnf: `(${body.gbnf})${count}`,
        regExp: `(?:${body.regExp})${count}`,
      })),
  ),
})).twin;

it('matches what regular expressions match', () => {
  const someText = fc.array(fc.constantFrom(...ALPHABET), { maxLength: 6 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(twin, fc.array(someText, { minLength: 5, maxLength: 12 }), ({ gbnf, regExp }, texts) => {
      const automaton = automatonOf(`root ::= ${gbnf}`);
      const expected = new RegExp(`^(?:${regExp})$`, 'u');
      for (const text of texts) expect(match(automaton, text) === 'whole').toBe(expected.test(text));
    }),
    { numRuns: 400 },
  );
});

it('matches whole characters, as UTF-8 has them', () => {
  const automaton = automatonOf('root ::= [^a]*');
  for (const bytes of [[0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xff]]) {
    expect(match(automaton, Uint8Array.from(bytes))).toBe('no');
  }
  expect(match(automaton, Uint8Array.of(0xf0, 0x9f, 0xa6))).toBe('begun');
});

it('splits ranges of characters into their bytes exactly', () => {
  const edges = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdfff, 0xe000, 0xffff, 0x10000, 0x10ffff];
  const codePoint = fc.oneof(fc.constantFrom(...edges), fc.nat({ max: 0x10ffff }));
  const range = fc
    .tuple(codePoint, codePoint)
    .map(([a, b]): CharacterRange => [Math.min(a, b), Math.max(a, b)]);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 4 }), fc.array(codePoint), (ranges, others) => {
      const forms = utf8Forms(ranges);
      const inverse = utf8Forms(complement(mergeRanges(ranges)));
      for (const point of [...edges, ...others, ...ranges.flat()].filter((p) => p < 0xd800 || p > 0xdfff)) {
        const bytes = encoder.encode(String.fromCodePoint(point));
        const matches = (all: typeof forms) =>
          all.filter(
            (form) =>
              form.length === bytes.length &&
              form.every(([low, high], i) => low <= bytes[i]! && bytes[i]! <= high),
          ).length;
        const inside = ranges.some(([first, last]) => first <= point && point <= last);
        expect([matches(forms), matches(inverse)]).toEqual(inside ? [1, 0] : [0, 1]);
      }
    }),
    { numRuns: 300 },
  );
});
