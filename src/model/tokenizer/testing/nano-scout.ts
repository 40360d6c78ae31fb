import { readFileSync } from 'node:fs';
import type { Metadata, MetadataValue } from '../../../formats/tensor-source.js';

interface TokenizerJson {
  model: { vocab: Record<string, number>; merges: [string, string][]; ignore_merges: boolean };
  added_tokens: { id: number; content: string; special: boolean }[];
  [key: string]: unknown;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8'));
}

/** A fresh copy of the bundled model's `tokenizer.json`. */
export function nanoTokenizerJson(): TokenizerJson {
  return readJson('models/nano-scout/tokenizer.json') as TokenizerJson;
}

export function nanoTokenizerConfig(): unknown {
  return readJson('models/nano-scout/tokenizer_config.json');
}

export interface GoldenEncoding {
  readonly text: string;
  readonly ids: number[];
  readonly idsWithBos: number[];
  readonly decoded: string;
}

/** Encodings by transformers; control tokens parsed. */
export function goldenEncodings(): GoldenEncoding[] {
  return readJson('test/golden/nano-scout/tokenizer.json') as GoldenEncoding[];
}

/** Pieces and ids by Hugging Face tokenizers 0.23.2 for texts that try the pre-tokenizer's corners. */
export function goldenPieces(): { text: string; pieces: string[]; ids: number[] }[] {
  return readJson('src/model/tokenizer/testing/pieces.json') as ReturnType<typeof goldenPieces>;
}

/** The metadata a converter writes for the bundled tokenizer, padded to `size` ids. */
export function nanoMetadata(size: number): Map<string, MetadataValue> & Metadata {
  const { model, added_tokens } = nanoTokenizerJson();
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(5);
  for (const [text, id] of Object.entries(model.vocab)) {
    tokens[id] = text;
    types[id] = 1;
  }
  for (const { id, content } of added_tokens) {
    tokens[id] = content;
    types[id] = 3;
  }
  const merges = model.merges.map((pair) => pair.join(' '));
  return new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'llama4' }],
    ['tokenizer.ggml.tokens', { type: 'array', items: 'string', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'array', items: 'int32', value: types }],
    ['tokenizer.ggml.merges', { type: 'array', items: 'string', value: merges }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: 4064 }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: 4072 }],
    ['tokenizer.ggml.padding_token_id', { type: 'uint32', value: 4076 }],
  ]);
}
