import type { Metadata, MetadataArray } from '../../formats/tensor-source.js';
import { Tokenizer } from './tokenizer.js';
import {
  badTokenizer,
  checkVocabularySize,
  createVocabulary,
  NORMAL,
  UNUSED,
  unsupportedTokenizer,
  type Vocabulary,
} from './vocabulary.js';

// Names llama.cpp has for the o200k pre-tokenizer.
const PRE_TOKENIZERS = ['llama4', 'gpt-4o'];

/** A tokenizer from GGUF metadata; errors as `vocabularyFromGguf`. */
export function tokenizerFromGguf(metadata: Metadata): Tokenizer {
  return new Tokenizer(vocabularyFromGguf(metadata));
}

/**
 * The vocabulary in the `tokenizer.ggml.*` keys. Unused ids at the end (`[PAD …]`, which converters write up to the
 * size of the model's embedding) are left out, so that the vocabulary is the one of the original `tokenizer.json`.
 * Throws `bad-file` with a code that begins with `tokenizer-`, or `unsupported` (`tokenizer-unsupported`).
 */
export function vocabularyFromGguf(metadata: Metadata): Vocabulary {
  const model = metadata.get('tokenizer.ggml.model')?.value;
  if (model !== 'gpt2') throw unsupportedTokenizer('tokenizer.ggml.model', 'gpt2', model);
  const pre = metadata.get('tokenizer.ggml.pre')?.value;
  if (!PRE_TOKENIZERS.includes(String(pre))) {
    throw unsupportedTokenizer('tokenizer.ggml.pre', PRE_TOKENIZERS[0], pre);
  }
  const texts = stringsOf(metadata, 'tokenizer.ggml.tokens');
  const merges = stringsOf(metadata, 'tokenizer.ggml.merges');
  checkVocabularySize(texts.length, merges.length);
  const kinds = kindsOf(metadata, texts.length);
  const size = kinds.findLastIndex((kind) => kind !== UNUSED) + 1;
  return createVocabulary(
    // The format has no key for ignore_merges; the tokenizers with this pre-tokenizer have it on.
    { texts: texts.slice(0, size), kinds: kinds.slice(0, size), merges, ignoreMerges: true },
    {
      bos: idOf(metadata, 'bos'),
      pad: idOf(metadata, 'padding'),
      stops: [idOf(metadata, 'eos'), idOf(metadata, 'eot'), idOf(metadata, 'eom')],
    },
  );
}

function kindsOf(metadata: Metadata, count: number): Uint8Array {
  const key = 'tokenizer.ggml.token_type';
  const types = metadata.has(key) ? arrayOf(metadata, key, 'int32') : new Array<number>(count).fill(NORMAL);
  if (types.length !== count) {
    throw badTokenizer(
      'tokenizer-bad-metadata',
      `expected ${count} entries in ${key}, found ${types.length}`,
    );
  }
  return Uint8Array.from(types as readonly number[], (type, id) => {
    if (type < 1 || type > 6) {
      throw badTokenizer(
        'tokenizer-bad-metadata',
        `expected token types 1 to 6, found ${type} for token ${id}`,
      );
    }
    return type;
  });
}

function stringsOf(metadata: Metadata, key: string): readonly string[] {
  return arrayOf(metadata, key, 'string') as readonly string[];
}

function arrayOf(metadata: Metadata, key: string, items: MetadataArray['items']): MetadataArray['value'] {
  const entry = metadata.get(key);
  if (entry === undefined) {
    throw badTokenizer('tokenizer-no-vocabulary', `expected ${key} in the metadata, found no such key`);
  }
  if (entry.type !== 'array' || entry.items !== items) {
    const found = entry.type === 'array' ? `an array of ${entry.items}` : entry.type;
    throw badTokenizer(
      'tokenizer-bad-metadata',
      `expected ${key} to be an array of ${items}, found ${found}`,
    );
  }
  return entry.value;
}

function idOf(metadata: Metadata, name: string): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  const value = metadata.get(key)?.value;
  if (value === undefined || typeof value === 'number') return value;
  throw badTokenizer('tokenizer-bad-metadata', `expected ${key} to be a number`);
}
