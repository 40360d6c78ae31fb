import type { Tokenizer } from '../../model/tokenizer/index.js';
import { VocabularyTrie } from './vocabulary-trie.js';

/** What grammars need of a tokenizer. */
export type GrammarTokenizer = Pick<Tokenizer, 'vocabSize' | 'tokenId' | 'isText' | 'decodeBytes'>;

const tries = new WeakMap<GrammarTokenizer, VocabularyTrie>();

/** The tree of a tokenizer's tokens, made once (about a second for the 202,048 tokens of Llama 4). */
export function vocabularyTrie(tokenizer: GrammarTokenizer): VocabularyTrie {
  let trie = tries.get(tokenizer);
  if (trie === undefined) {
    trie = new VocabularyTrie(
      Array.from({ length: tokenizer.vocabSize }, (_, id) =>
        tokenizer.isText(id) ? tokenizer.decodeBytes([id]) : undefined,
      ),
    );
    tries.set(tokenizer, trie);
  }
  return trie;
}
