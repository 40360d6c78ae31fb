import { describe, expect, it } from 'vitest';
import { LLAMA4_SPLIT_PATTERN, vocabularyMetadata } from './vocabulary.js';

const tokenizer = {
  added_tokens: [
    { id: 3, content: '<|eot|>', special: true },
    { id: 4, content: '<|looks_special|>', special: false },
    { id: 5, content: '\u2581mine', special: false },
  ],
  pre_tokenizer: { type: 'Split', pattern: { Regex: LLAMA4_SPLIT_PATTERN } },
  model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b'], 'b a'] },
};

function metadata(
  tokenizerConfig: unknown,
  config: unknown = {},
  chatTemplate: string | undefined = undefined,
): Record<string, unknown> {
  const files = { folder: 'folder', tokenizer, tokenizerConfig, config, chatTemplate };
  return Object.fromEntries([...vocabularyMetadata(files, 7)].map(([key, { value }]) => [key, value]));
}

describe('vocabularyMetadata', () => {
  it('types tokens as llama.cpp does and fills ids without one', () => {
    const written = metadata({});
    expect(written['tokenizer.ggml.tokens']).toEqual([
      'a',
      'b',
      'ab',
      '<|eot|>',
      '<|looks_special|>',
      ' mine',
      '[PAD6]',
    ]);
    expect(written['tokenizer.ggml.token_type']).toEqual([1, 1, 1, 3, 3, 4, 5]);
    expect(written['tokenizer.ggml.merges']).toEqual(['a b', 'b a']);
  });

  it('finds special tokens by name, else by number, and ignores lists', () => {
    const named = metadata(
      { eos_token: { content: '<|eot|>' } },
      { eos_token_id: 1, text_config: { bos_token_id: 2 } },
    );
    expect(named).toMatchObject({ 'tokenizer.ggml.eos_token_id': 3, 'tokenizer.ggml.bos_token_id': 2 });
    expect(metadata({}, { eos_token_id: [1, 2] })).not.toHaveProperty(['tokenizer.ggml.eos_token_id']);
  });

  it('takes the chat template from where it is', () => {
    expect(metadata({}, {}, 'file')['tokenizer.chat_template']).toBe('file');
    expect(metadata({ chat_template: 'own' }, {}, 'file')['tokenizer.chat_template']).toBe('own');
    const several = [
      { name: 'default', template: 'one' },
      { name: 'tool-use', template: 'two' },
    ];
    expect(metadata({ chat_template: several })).toMatchObject({
      'tokenizer.chat_template': 'one',
      'tokenizer.chat_template.tool_use': 'two',
      'tokenizer.chat_templates': ['tool_use'],
    });
  });
});
