import { describe, expect, it } from 'vitest';
import { type Tokenizer, tokenizerFromGguf, tokenizerFromJson } from './index.js';
import { nanoMetadata, nanoTokenizerJson } from './testing/nano-scout.js';

describe('a malformed tokenizer.json', () => {
  type Json = ReturnType<typeof nanoTokenizerJson>;
  const cases: [string, (json: Json) => unknown, string][] = [
    ['not an object', () => [], 'tokenizer-bad-json'],
    ['without a model', (json) => ({ ...json, model: undefined }), 'tokenizer-bad-json'],
    [
      'without a vocabulary',
      (json) => edit(json, () => delete (json.model as Partial<Json['model']>).vocab),
      'tokenizer-bad-json',
    ],
    [
      'with an empty vocabulary',
      (json) =>
        edit(json, () => {
          json.model.vocab = {};
          json.added_tokens = [];
        }),
      'tokenizer-no-vocabulary',
    ],
    [
      'with an id twice',
      (json) =>
        edit(json, () => {
          json.model.vocab.ph = 5;
        }),
      'tokenizer-duplicate-id',
    ],
    [
      'with a huge id',
      (json) =>
        edit(json, () => {
          json.model.vocab.ph = 2 ** 31;
        }),
      'tokenizer-bad-id',
    ],
    [
      'with a text for an id',
      (json) =>
        edit(json, () => {
          json.model.vocab.ph = '7' as unknown as number;
        }),
      'tokenizer-bad-id',
    ],
    [
      'with a text twice',
      (json) =>
        edit(json, () => {
          json.added_tokens[3]!.content = '<|eot|>';
        }),
      'tokenizer-duplicate-token',
    ],
    [
      'with a hole',
      (json) =>
        edit(json, () => {
          json.added_tokens[0] = { ...json.added_tokens[1]! };
        }),
      'tokenizer-id-hole',
    ],
    [
      'with a merge of unknown tokens',
      (json) =>
        edit(json, () => {
          json.model.merges[7] = ['q', 'zzzq'];
        }),
      'tokenizer-unknown-merge',
    ],
    [
      'with a merge into an unknown token',
      (json) =>
        edit(json, () => {
          json.model.merges[7] = ['q', 'z'];
        }),
      'tokenizer-unknown-merge',
    ],
    [
      'with a merge twice',
      (json) =>
        edit(json, () => {
          json.model.merges[7] = json.model.merges[8]!;
        }),
      'tokenizer-duplicate-merge',
    ],
    [
      'with a merge of three',
      (json) =>
        edit(json, () => {
          json.model.merges[7] = ['a', 'b', 'c'] as unknown as [string, string];
        }),
      'tokenizer-bad-merge',
    ],
    [
      'without a byte',
      (json) =>
        edit(json, () => {
          json.model.vocab['!!!!'] = json.model.vocab['"']!;
          delete json.model.vocab['"'];
          json.model.merges = [];
        }),
      'tokenizer-missing-byte',
    ],
    [
      'with an endless special token',
      (json) =>
        edit(json, () => {
          json.added_tokens[1]!.content = 'x'.repeat(300);
        }),
      'tokenizer-text-length',
    ],
    [
      'of another kind',
      (json) =>
        edit(json, () => {
          (json.model as Record<string, unknown>).type = 'Unigram';
        }),
      'tokenizer-unsupported',
    ],
    [
      'with another pattern',
      (json) =>
        edit(json, () => {
          json.pre_tokenizer = { pretokenizers: [{ type: 'Split', pattern: { Regex: '.' } }] };
        }),
      'tokenizer-unsupported',
    ],
    [
      'with a normalizer',
      (json) =>
        edit(json, () => {
          json.normalizer = { type: 'NFC' };
        }),
      'tokenizer-unsupported',
    ],
  ];

  function edit(json: Json, change: () => void): Json {
    change();
    return json;
  }

  it.each(cases)('%s is refused in one line', (_, build, code) => {
    expectRefusal(() => tokenizerFromJson(build(nanoTokenizerJson())), code);
  });
});

describe('malformed GGUF metadata', () => {
  it.each([
    ['of another model', 'model', { type: 'string', value: 'llama' }, 'tokenizer-unsupported'],
    ['of another pre-tokenizer', 'pre', { type: 'string', value: 'qwen2' }, 'tokenizer-unsupported'],
    ['without tokens', 'tokens', undefined, 'tokenizer-no-vocabulary'],
    ['without merges', 'merges', undefined, 'tokenizer-no-vocabulary'],
    [
      'with tokens of another type',
      'tokens',
      { type: 'array', items: 'int32', value: [1] },
      'tokenizer-bad-metadata',
    ],
    [
      'with too few types',
      'token_type',
      { type: 'array', items: 'int32', value: [1] },
      'tokenizer-bad-metadata',
    ],
    [
      'with an unknown type',
      'token_type',
      { type: 'array', items: 'int32', value: new Array(4096).fill(9) },
      'tokenizer-bad-metadata',
    ],
    ['with a begin token out of range', 'bos_token_id', { type: 'uint32', value: 5000 }, 'tokenizer-bad-id'],
    [
      'with a begin token of another type',
      'bos_token_id',
      { type: 'string', value: '1' },
      'tokenizer-bad-metadata',
    ],
  ] as const)('%s is refused in one line', (_, key, value, code) => {
    const metadata = nanoMetadata(4096);
    if (value === undefined) metadata.delete(`tokenizer.ggml.${key}`);
    else metadata.set(`tokenizer.ggml.${key}`, value);
    expectRefusal(() => tokenizerFromGguf(metadata), code);
  });
});

function expectRefusal(build: () => Tokenizer, code: string): void {
  const refusal = expect(build);
  refusal.toThrow(expect.objectContaining({ name: 'CriaError', code }));
  refusal.toThrow(/^[^\n]{10,200}$/);
}
