import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { vocabularyMetadata } from '../../convert/vocabulary.js';
import { StreamingDecoder, tokenizerFromGguf, tokenizerFromJson } from './index.js';
import {
  goldenEncodings,
  goldenPieces,
  nanoMetadata,
  nanoTokenizerConfig,
  nanoTokenizerJson,
} from './testing/nano-scout.js';

const fromJson = tokenizerFromJson(nanoTokenizerJson(), nanoTokenizerConfig());
const fromGguf = tokenizerFromGguf(nanoMetadata(4352));
const BOS = 4064;

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc
    .array(fc.constantFrom('Hello', ' world', '<|eot|>', '<|begin_of_text|>', '\n\n', '  ', '日本', "'s"))
    .map((parts) => parts.join('')),
);
const anySpecials = fc.array(fc.constantFrom(240, 159, 152, 128, 4072, 4064));
const anyIds = fc.array(fc.nat({ max: fromJson.vocabSize - 1 }));

describe.each([
  ['tokenizer.json', fromJson],
  ['GGUF metadata', fromGguf],
])('a tokenizer from %s', (_, tokenizer) => {
  it('encodes and decodes as transformers does', () => {
    for (const { text, ids, idsWithBos, decoded } of goldenEncodings()) {
      expect(tokenizer.encode(text, { parseSpecial: true })).toEqual(ids);
      expect(tokenizer.encode(text, { parseSpecial: true, addBos: true })).toEqual(idsWithBos);
      expect(tokenizer.decode(ids)).toBe(decoded);
    }
  });

  it('encodes the corners of the pre-tokenizer as Hugging Face tokenizers does', () => {
    for (const { text, ids } of goldenPieces()) expect(tokenizer.encode(text)).toEqual(ids);
  });

  it('knows its special tokens', () => {
    expect(tokenizer.vocabSize).toBe(4096);
    expect(tokenizer.bosId).toBe(BOS);
    expect(tokenizer.padId).toBe(4076);
    expect(tokenizer.stopIds).toEqual([4065, 4071, 4072]);
    expect(tokenizer.tokenId('<|eot|>')).toBe(4072);
    expect(tokenizer.tokenText(4072)).toBe('<|eot|>');
    expect(tokenizer.tokenText(tokenizer.tokenId('Ġthe')!)).toBe('Ġthe');
    expect(tokenizer.isSpecial(4072)).toBe(true);
    expect(tokenizer.isSpecial(0)).toBe(false);
  });
});

describe('the two constructors', () => {
  it('agree', () => {
    expect(fromGguf.vocabulary).toEqual(fromJson.vocabulary);
    fc.assert(
      fc.property(anyText, fc.boolean(), (text, parseSpecial) => {
        expect(fromGguf.encode(text, { parseSpecial })).toEqual(fromJson.encode(text, { parseSpecial }));
      }),
    );
  });

  it('agree by way of the converter', () => {
    const files = {
      folder: 'nano-scout',
      tokenizer: nanoTokenizerJson(),
      tokenizerConfig: nanoTokenizerConfig(),
      config: {},
      chatTemplate: undefined,
    };
    expect(tokenizerFromGguf(vocabularyMetadata(files, 4352)).vocabulary).toEqual(fromJson.vocabulary);
  });

  it('read merges spelled as one string', () => {
    const json = nanoTokenizerJson();
    const spelled = { ...json, model: { ...json.model, merges: json.model.merges.map((m) => m.join(' ')) } };
    expect(tokenizerFromJson(spelled, nanoTokenizerConfig()).vocabulary).toEqual(fromJson.vocabulary);
  });

  it('find special tokens by name when the file names none', () => {
    const metadata = nanoMetadata(4096);
    for (const name of ['bos', 'eos', 'padding']) metadata.delete(`tokenizer.ggml.${name}_token_id`);
    expect(tokenizerFromGguf(metadata).vocabulary).toEqual(fromJson.vocabulary);
    expect(tokenizerFromJson(nanoTokenizerJson()).vocabulary).toEqual(fromJson.vocabulary);
  });

  it('add the end tokens the file names to those known by name', () => {
    const metadata = nanoMetadata(4096);
    metadata.set('tokenizer.ggml.eos_token_id', { type: 'uint32', value: 4070 });
    expect(tokenizerFromGguf(metadata).stopIds).toEqual([4065, 4070, 4071, 4072]);
  });
});

describe('encode', () => {
  it('adds the begin token once', () => {
    const text = '<|begin_of_text|>hi';
    const plain = fromJson.encode('hi');
    expect(fromJson.encode('hi', { addBos: true })).toEqual([BOS, ...plain]);
    expect(fromJson.encode(text, { addBos: true, parseSpecial: true })).toEqual([BOS, ...plain]);
    expect(fromJson.encode(text, { parseSpecial: true })).toEqual([BOS, ...plain]);
  });

  it('takes special tokens for text unless asked', () => {
    const ids = fromJson.encode('a<|eot|>b', { addBos: true });
    expect(ids.filter((id) => fromJson.isSpecial(id))).toEqual([BOS]);
    expect(fromJson.decode(ids, { skipSpecial: true })).toBe('a<|eot|>b');
  });

  it('takes the longest special token, and user-defined ones always', () => {
    const json = nanoTokenizerJson();
    for (const [i, content] of ['[x]', '[x][y]'].entries()) {
      json.added_tokens.push({ id: 4096 + i, content, special: false });
    }
    const tokenizer = tokenizerFromJson(json);
    expect(tokenizer.encode('[x][y][x]')).toEqual([4097, 4096]);
    expect(tokenizer.isSpecial(4096)).toBe(false);
  });

  it('merges up to a whole token unless merges are ignored', () => {
    const json = nanoTokenizerJson();
    json.model.vocab.qzq = 4064;
    for (const token of json.added_tokens) token.id++;
    json.post_processor = null;
    expect(tokenizerFromJson(json).encode('qzq')).toEqual([4064]);
    json.model.ignore_merges = false;
    expect(tokenizerFromJson(json).encode('qzq')).toEqual([...'qzq'].map((c) => json.model.vocab[c]));
  });

  it('round-trips every text', () => {
    fc.assert(
      fc.property(anyText, fc.boolean(), (text, parseSpecial) => {
        expect(fromJson.decode(fromJson.encode(text, { parseSpecial }))).toBe(text);
      }),
    );
  });

  it('encodes lone surrogates as U+FFFD', () => {
    expect(fromJson.decode(fromJson.encode('a\ud800b\udc00'))).toBe('a\ufffdb\ufffd');
    expect(fromJson.encode('\ud800')).toEqual(fromJson.encode('\ufffd'));
  });

  it('forgets nothing between texts', () => {
    const tokenizer = tokenizerFromJson(nanoTokenizerJson());
    const text = 'The quick brown fox, antidisestablishmentarianism 12';
    const first = tokenizer.encode(text);
    expect(tokenizer.encode(text)).toEqual(first);
  });

  const LONG = 1_000_000;
  it.each([
    ['spaces', ' '.repeat(LONG)],
    ['spaces before a word', `${' '.repeat(LONG)}x`],
    ['one letter', 'a'.repeat(LONG)],
    ['capitals', 'A'.repeat(LONG)],
    ['marks and capitals', `\u0301${'A'.repeat(999)}`.repeat(LONG / 1000)],
    ['ideographs', '日'.repeat(LONG / 2)],
    ['unfinished special tokens', '<|reserved_special_token_'.repeat(LONG / 25)],
    ['line breaks', ' \n'.repeat(LONG / 2)],
    ['quotes', '"'.repeat(LONG)],
  ])('finishes on a megabyte of %s', (_, text) => {
    expect(fromJson.decode(fromJson.encode(text, { parseSpecial: true })) === text).toBe(true);
  });
});

describe('bytes', () => {
  it('round-trip, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(fromJson.decodeBytes(fromJson.encodeBytes(bytes))).toEqual(bytes);
      }),
    );
  });

  it('of a text give the ids of the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(fromJson.encodeBytes(new TextEncoder().encode(text))).toEqual(fromJson.encode(text));
      }),
    );
  });

  it('that are no UTF-8 stand alone', () => {
    const bytes = [0xc0, 0xaf, 0xed, 0xa0, 0x80, 0x41, 0xf4, 0x90, 0x80, 0x80, 0xe6, 0x97];
    const ids = fromJson.encodeBytes(Uint8Array.from(bytes));
    expect(ids).toHaveLength(bytes.length);
    expect([...fromJson.decodeBytes(ids)]).toEqual(bytes);
  });
});

describe('decode', () => {
  it('skips special tokens on request', () => {
    expect(fromJson.decode([BOS, 65, 4072], { skipSpecial: true })).toBe('A');
    expect(fromJson.decode([BOS, 65, 4072])).toBe('<|begin_of_text|>A<|eot|>');
  });

  it('keeps a byte order mark', () => {
    expect(fromJson.decode(fromJson.encode('\ufeffx'))).toBe('\ufeffx');
  });

  it('refuses ids that no token has', () => {
    for (const id of [-1, 4096, 1.5, Number.NaN]) {
      expect(() => fromJson.decode([id])).toThrow(expect.objectContaining({ code: 'unknown-token-id' }));
    }
  });
});

describe('StreamingDecoder', () => {
  it('emits whole characters as soon as they are there', () => {
    const decoder = new StreamingDecoder(fromJson);
    const ids = fromJson.encodeBytes(new TextEncoder().encode('😀'));
    expect(ids.map((id) => decoder.push(id))).toEqual(['', '', '', '😀']);
    expect(decoder.flush()).toBe('');
  });

  it.each([false, true])('emits in all what decoding at once gives (skipSpecial %s)', (skipSpecial) => {
    const decoder = fromJson.streamingDecoder({ skipSpecial });
    fc.assert(
      fc.property(fc.oneof(anyIds, fc.array(fc.nat({ max: 255 })), anySpecials), (ids) => {
        const text = ids.map((id) => decoder.push(id)).join('') + decoder.flush();
        expect(text).toBe(fromJson.decode(ids, { skipSpecial }));
      }),
    );
  });
});
