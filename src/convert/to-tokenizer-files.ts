import { CriaError } from '../base/errors.js';
import type { Metadata } from '../formats/tensor-source.js';
import { FieldReader } from './field-reader.js';
import { LLAMA4_SPLIT_PATTERN, TOKEN_TYPE } from './vocabulary.js';

export interface TokenizerOutput {
  /** tokenizer.json */
  readonly tokenizer: object;
  /** tokenizer_config.json */
  readonly tokenizerConfig: object;
}

/**
 * `tokenizer.json` and `tokenizer_config.json` from the `tokenizer.*` metadata of a Llama 4 GGUF file.
 * Throws `unsupported-tokenizer` for another kind of tokenizer, `bad-config` for contradictions.
 */
export function tokenizerFiles(metadata: Metadata, contextLength: number, where: string): TokenizerOutput {
  const fields = FieldReader.ofMetadata(where, metadata);
  const kind = `${fields.text('tokenizer.ggml.model')} ${fields.text('tokenizer.ggml.pre')}`;
  if (kind !== 'gpt2 llama4') {
    const message = `${where}: expected tokenizer.ggml.model and pre to be gpt2 llama4, found ${kind}`;
    throw new CriaError('unsupported', 'unsupported-tokenizer', message);
  }
  const tokens = strings(fields, 'tokenizer.ggml.tokens');
  const types = fields.list('tokenizer.ggml.token_type') ?? [];
  if (types.length !== tokens.length)
    throw fields.refuse('tokenizer.ggml.token_type', 'one number per token');

  const vocab: [string, number][] = [];
  const added: AddedToken[] = [];
  tokens.forEach((content, id) => {
    const type = types[id];
    const special = type === TOKEN_TYPE.control;
    if (special || type === TOKEN_TYPE.userDefined) added.push({ id, ...addedToken(content, special) });
    else if (type !== TOKEN_TYPE.unused) vocab.push([content, id]);
  });
  const named = (name: string): string | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    return fields.value(key) === undefined ? undefined : tokens[fields.integer(key, 0, tokens.length - 1)];
  };
  const bos = fields.flag('tokenizer.ggml.add_bos_token', true) ? named('bos') : undefined;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: LLAMA4_SPLIT_PATTERN }, behavior: 'Isolated', invert: false },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
        ],
      },
      post_processor: postProcessor(bos, tokens),
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: true,
        // A token may be called __proto__, so this is not built by assignment.
        vocab: Object.fromEntries(vocab),
        merges: strings(fields, 'tokenizer.ggml.merges').map((merge) => {
          const space = merge.indexOf(' ', 1);
          return [merge.slice(0, space), merge.slice(space + 1)];
        }),
      },
    },
    tokenizerConfig: {
      added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
      bos_token: named('bos'),
      eos_token: named('eos'),
      pad_token: named('padding'),
      clean_up_tokenization_spaces: false,
      model_max_length: contextLength,
      tokenizer_class: 'PreTrainedTokenizerFast',
      chat_template: fields.text('tokenizer.chat_template'),
    },
  };
}

interface AddedToken extends ReturnType<typeof addedToken> {
  readonly id: number;
}

function addedToken(content: string, special: boolean) {
  return { content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

function postProcessor(bos: string | undefined, tokens: readonly string[]): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };
  if (bos === undefined) return byteLevel;
  const begin = (type: number) => ({ SpecialToken: { id: bos, type_id: type } });
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  const template = {
    type: 'TemplateProcessing',
    single: [begin(0), sequence('A', 0)],
    pair: [begin(0), sequence('A', 0), begin(1), sequence('B', 1)],
    special_tokens: { [bos]: { id: bos, ids: [tokens.indexOf(bos)], tokens: [bos] } },
  };
  return { type: 'Sequence', processors: [byteLevel, template] };
}

function strings(fields: FieldReader, key: string): readonly string[] {
  const list = fields.list(key) ?? [];
  if (!list.every((item): item is string => typeof item === 'string')) throw fields.refuse(key, 'strings');
  return list;
}
