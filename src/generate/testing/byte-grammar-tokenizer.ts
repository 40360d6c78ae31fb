import type { GrammarTokenizer } from '../grammar/grammar-tokenizer.js';

export const END_OF_TURN = 256;
export const PYTHON_START = 257;

/** A token per byte, two control tokens, and the given words. */
export function wordTokenizer(words: readonly string[] = []): GrammarTokenizer {
  const encoder = new TextEncoder();
  const bytes = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    encoder.encode('<|eot|>'),
    encoder.encode('<|python_start|>'),
    ...words.map((word) => encoder.encode(word)),
  ];
  return {
    vocabSize: bytes.length,
    isText: (id) => id !== END_OF_TURN && id !== PYTHON_START,
    tokenId: (text) => ({ '<|eot|>': END_OF_TURN, '<|python_start|>': PYTHON_START })[text],
    decodeBytes: (ids) => Uint8Array.from(Array.from(ids).flatMap((id) => [...bytes[id]!])),
  };
}
