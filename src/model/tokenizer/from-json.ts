import { LLAMA4_SPLIT_PATTERN } from '../../convert/vocabulary.js';
import { Tokenizer } from './tokenizer.js';
import {
  badTokenizer,
  CONTROL,
  checkVocabularySize,
  createVocabulary,
  NORMAL,
  UNUSED,
  USER_DEFINED,
  unsupportedTokenizer,
  type Vocabulary,
} from './vocabulary.js';

type JsonObject = Record<string, unknown>;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** A tokenizer from the parsed `tokenizer.json` and `tokenizer_config.json`; errors as `vocabularyFromJson`. */
export function tokenizerFromJson(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  return new Tokenizer(vocabularyFromJson(tokenizerJson, tokenizerConfig));
}

/**
 * The vocabulary in a Hugging Face `tokenizer.json` (parsed). Ids must have no holes. `tokenizerConfig` may name the
 * BOS, EOS and padding tokens. Throws `bad-file` with a code that begins with `tokenizer-`, or `unsupported`
 * (`tokenizer-unsupported`) for a tokenizer of another kind than Llama 4's.
 */
export function vocabularyFromJson(tokenizerJson: unknown, tokenizerConfig?: unknown): Vocabulary {
  const file = objectOf(tokenizerJson, 'tokenizer.json');
  const model = objectOf(file.model, 'model');
  checkKind(file, model);
  const vocab = objectOf(model.vocab, 'model.vocab');
  const merges = arrayOf(model.merges, 'model.merges');
  const added = arrayOf(file.added_tokens ?? [], 'added_tokens').map(addedToken);
  const entries = Object.entries(vocab);
  checkVocabularySize(entries.length + added.length, merges.length);

  const { texts, kinds } = tokensById(entries, added);
  const config = tokenizerConfig === undefined ? {} : objectOf(tokenizerConfig, 'tokenizer_config.json');
  const idOf = (name: string): number | undefined => {
    const text = tokenName(config[name]);
    if (text === undefined) return undefined;
    const index = texts.indexOf(text);
    return index === -1 ? undefined : index;
  };
  return createVocabulary(
    { texts, kinds, merges: merges.map(mergeText), ignoreMerges: model.ignore_merges === true },
    {
      bos: prefixToken(file.post_processor) ?? idOf('bos_token'),
      pad: idOf('pad_token'),
      stops: [idOf('eos_token')],
    },
  );
}

function tokensById(
  entries: readonly [string, unknown][],
  added: readonly AddedToken[],
): Pick<Vocabulary, 'texts' | 'kinds'> {
  // No hole is possible past this many ids, and no memory is given for an id beyond them.
  const limit = entries.length + added.length;
  const texts: string[] = new Array(limit);
  const kinds = new Uint8Array(limit).fill(UNUSED);
  const place = (text: string, id: unknown, kind: number): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= limit) {
      throw badTokenizer(
        'tokenizer-bad-id',
        `expected ids 0…${limit - 1} without holes, found ${JSON.stringify(id)} for ${quote(text)}`,
      );
    }
    if (kinds[id] !== UNUSED && texts[id] !== text) {
      throw badTokenizer(
        'tokenizer-duplicate-id',
        `id ${id} is given to both ${quote(texts[id]!)} and ${quote(text)}`,
      );
    }
    texts[id] = text;
    kinds[id] = kind;
  };
  for (const [text, id] of entries) place(text, id, NORMAL);
  for (const { id, content, special } of added) {
    // llama.cpp's converter writes added tokens that look like markers as control tokens too.
    const isControl = special || /^<\|.*\|>$|^<pad>$|^<mask>$/s.test(content);
    place(content, id, isControl ? CONTROL : USER_DEFINED);
  }
  // Added tokens may also stand in the vocabulary, so there can be fewer tokens than entries.
  const hole = kinds.indexOf(UNUSED);
  const size = hole === -1 ? limit : hole;
  const beyond = kinds.findIndex((kind, id) => id > size && kind !== UNUSED);
  if (beyond !== -1) {
    throw badTokenizer('tokenizer-id-hole', `expected ids without holes, found ${beyond} but no ${size}`);
  }
  return { texts: texts.slice(0, size), kinds: kinds.slice(0, size) };
}

/** Refuses tokenizers that would give other tokens than the one implemented here. */
function checkKind(file: JsonObject, model: JsonObject): void {
  expect('model.type', 'BPE', model.type);
  expect('normalizer', null, file.normalizer ?? null);
  expect('model.dropout', null, model.dropout ?? null);
  expect('model.byte_fallback', false, model.byte_fallback ?? false);
  expect('model.continuing_subword_prefix', '', model.continuing_subword_prefix ?? '');
  expect('model.end_of_word_suffix', '', model.end_of_word_suffix ?? '');
  const steps = objectOf(file.pre_tokenizer, 'pre_tokenizer').pretokenizers;
  const [split, byteLevel] = arrayOf(steps, 'pre_tokenizer.pretokenizers').map((step) =>
    objectOf(step, 'a pre_tokenizer step'),
  );
  expect('first pre-tokenizer', 'Split', split?.type);
  const pattern = objectOf(split?.pattern, 'pre_tokenizer pattern').Regex;
  if (pattern !== LLAMA4_SPLIT_PATTERN)
    throw unsupportedTokenizer('split pattern', "Llama 4's (o200k)", pattern);
  expect('split behavior', 'Isolated', split?.behavior);
  expect('split invert', false, split?.invert ?? false);
  expect('second pre-tokenizer', 'ByteLevel', byteLevel?.type);
  expect('byte level add_prefix_space', false, byteLevel?.add_prefix_space);
  expect('byte level use_regex', false, byteLevel?.use_regex);
}

function expect(what: string, expected: unknown, found: unknown): void {
  if (found !== expected) throw unsupportedTokenizer(what, expected, found);
}

/** The token that the post-processor puts before a text. */
function prefixToken(postProcessor: unknown): number | undefined {
  if (postProcessor === null || postProcessor === undefined) return undefined;
  const outer = objectOf(postProcessor, 'post_processor');
  const processors =
    outer.type === 'Sequence' ? arrayOf(outer.processors, 'post_processor.processors') : [outer];
  for (const item of processors) {
    const processor = objectOf(item, 'a post_processor step');
    if (processor.type !== 'TemplateProcessing') continue;
    const [first] = arrayOf(processor.single, 'post_processor single');
    const name = objectOf(first, 'post_processor single').SpecialToken;
    if (name === undefined) return undefined;
    const key = String(objectOf(name, 'SpecialToken').id);
    const special = objectOf(processor.special_tokens, 'special_tokens')[key];
    const [id] = arrayOf(objectOf(special, `special token ${quote(key)}`).ids, 'special token ids');
    return id as number;
  }
  return undefined;
}

function addedToken(item: unknown): AddedToken {
  const token = objectOf(item, 'an added token');
  const { id, content, special } = token;
  if (typeof content !== 'string' || typeof id !== 'number') {
    throw badTokenizer('tokenizer-bad-added-token', 'expected an added token with id and content');
  }
  for (const flag of ['lstrip', 'rstrip', 'single_word']) {
    expect(`${flag} of added token ${quote(content)}`, false, token[flag] ?? false);
  }
  return { id, content, special: special === true };
}

function mergeText(merge: unknown, rank: number): string {
  if (typeof merge === 'string') return merge;
  if (Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string')) {
    return merge.join(' ');
  }
  throw badTokenizer('tokenizer-bad-merge', `expected two tokens in merge ${rank}, found ${quote(merge)}`);
}

/** The text of a token in tokenizer_config.json, which is a string or an object with `content`. */
function tokenName(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as JsonObject).content : value;
  return typeof text === 'string' ? text : undefined;
}

function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badTokenizer('tokenizer-bad-json', `expected an object as ${what}, found ${quote(value)}`);
  }
  return value as JsonObject;
}

function arrayOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw badTokenizer('tokenizer-bad-json', `expected a list as ${what}, found ${quote(value)}`);
  }
  return value;
}

function quote(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 60);
}
