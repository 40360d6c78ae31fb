import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LLAMA4_SPLIT_PATTERN } from '../../convert/vocabulary.js';
import { PreTokenizer } from './pre-tokenizer.js';
import { goldenPieces, nanoTokenizerJson } from './testing/nano-scout.js';

const preTokenizer = new PreTokenizer();

function split(text: string, start = 0, end = text.length): string[] {
  const pieces: string[] = [];
  preTokenizer.split(text, start, end, (from, to) => pieces.push(text.slice(from, to)));
  return pieces;
}

// The pattern in JavaScript's dialect: `\s` by its Unicode property, the case-insensitive group spelled out.
const regex = new RegExp(
  LLAMA4_SPLIT_PATTERN.replaceAll(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    "(?:'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))",
  )
    .replaceAll('[^\\s', '[^\\p{White_Space}')
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);

const character = fc.constantFrom(
  ...'azAZsStTlL\'"/._ \t\r\n019٣½éÉßſǅʰ日가ก\u0301\u0e31\u0085\u00a0\ufeff\u200b\u3000',
  ...['😀', '𐐀', '𐐨', '𝟘', "'s", "'LL", '  ', 'foo', 'BAR'],
);

describe('PreTokenizer', () => {
  it('follows the pattern of the tokenizer file', () => {
    const { pretokenizers } = nanoTokenizerJson().pre_tokenizer as {
      pretokenizers: { pattern: { Regex: string } }[];
    };
    expect(pretokenizers[0]!.pattern.Regex).toBe(LLAMA4_SPLIT_PATTERN);
  });

  it('cuts as Hugging Face tokenizers does', () => {
    for (const { text, pieces } of goldenPieces()) expect(split(text)).toEqual(pieces);
  });

  it('cuts as the regular expression does', () => {
    fc.assert(
      fc.property(fc.string({ unit: character, maxLength: 40 }), (text) => {
        expect(split(text)).toEqual(text.match(regex) ?? []);
      }),
      { numRuns: 2000 },
    );
  });

  it('covers every text and sees only its part', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), fc.nat(), (text, a, b) => {
        const [start, end] = [a % (text.length + 1), b % (text.length + 1)].sort((x, y) => x - y);
        const part = text.slice(start, end);
        expect(split(text, start, end)).toEqual(split(part));
        expect(split(part).join('')).toBe(part);
      }),
    );
  });
});
