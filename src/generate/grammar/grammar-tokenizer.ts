import type { Tokenizer } from '../../model/tokenizer/index.js';
import { VocabularyTrie } from './vocabulary-trie.js';

/** What grammars need of a tokenizer. */
export type GrammarTokenizer = Pick<Tokenizer, 'vocabSize' | 'tokenId' | 'isText' | 'decodeBytes'>;

const tries = new WeakMap<GrammarTokenizer, VocabularyTrie>();

/** The tree of a tokenizer's tokens, made once (about a second for the 202,048 tokens of Llama 4). */
export function vocabularyTrie(tokenizer: GrammarTokenizer): VocabularyTrie {
  let trie = tries.get(tokenizer);
  if (trie === undefined) {
    trie = new VocabularyTrie(tokenizer.vocabSize, (id) => textBytes(tokenizer, id));
    tries.set(tokenizer, trie);
  }
  return trie;
}

/** Bytes of a token's text; undefined for one that stands for none. */
export function textBytes(tokenizer: GrammarTokenizer, id: number): Uint8Array | undefined {
  return tokenizer.isText(id) ? tokenizer.decodeBytes([id]) : undefined;
}
