import { CriaError } from '../base/errors.js';
import type { MetadataValue } from '../formats/tensor-source.js';
import { badConfig, FieldReader } from './field-reader.js';
import { bool, list, text, u32 } from './metadata-values.js';

/** What a checkpoint folder says about its tokenizer, parsed but unchecked. */
export interface TokenizerFiles {
  /** Shown in messages. */
  readonly folder: string;
  /** tokenizer.json */
  readonly tokenizer: unknown;
  /** tokenizer_config.json */
  readonly tokenizerConfig: unknown;
  /** config.json */
  readonly config: unknown;
  /** chat_template.jinja, or the string in chat_template.json */
  readonly chatTemplate: string | undefined;
}

/** `llama_token_type` of llama.cpp. */
export const TOKEN_TYPE = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const;

/** The regular expression that splits text before merging, as Llama 4's tokenizer.json spells it. */
export const LLAMA4_SPLIT_PATTERN = [
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  '\\p{N}{1,3}',
  ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*',
  '\\s*[\\r\\n]+',
  '\\s+(?!\\S)',
  '\\s+',
].join('|');

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/**
 * The `tokenizer.*` metadata of a Llama 4 checkpoint, in llama.cpp's order. Ids without a token become `[PAD{id}]`.
 * Throws `unsupported-tokenizer` for another kind of tokenizer, `bad-config` for contradictions.
 */
export function vocabularyMetadata(files: TokenizerFiles, vocabSize: number): Map<string, MetadataValue> {
  const where = `${files.folder}/tokenizer.json`;
  const tokenizer = FieldReader.ofObject(where, files.tokenizer);
  const model = tokenizer.section('model');
  const kind = model?.text('type');
  if (!model || (kind !== undefined && kind !== 'BPE')) {
    throw unsupported(`${where}: expected a BPE model, found ${kind ?? 'none'}`);
  }
  checkSplitPattern(where, files.tokenizer);
  const added = addedTokens(tokenizer);
  const { tokens, types } = vocabulary(model, added, vocabSize);
  const options = FieldReader.ofObject(`${files.folder}/tokenizer_config.json`, files.tokenizerConfig ?? {});

  const metadata = new Map<string, MetadataValue>([
    ['tokenizer.ggml.model', text('gpt2')],
    ['tokenizer.ggml.pre', text('llama4')],
    ['tokenizer.ggml.tokens', list('string', tokens)],
    ['tokenizer.ggml.token_type', list('int32', types)],
    ['tokenizer.ggml.merges', list('string', merges(model))],
  ]);
  for (const [name, key] of [
    ['bos', 'bos'],
    ['eos', 'eos'],
    ['unk', 'unknown'],
    ['sep', 'seperator'], // the spelling of the GGUF specification
    ['pad', 'padding'],
  ] as const) {
    const id = specialTokenId(name, options, files.config, added, vocabSize);
    if (id !== undefined) metadata.set(`tokenizer.ggml.${key}_token_id`, u32(id));
  }
  const adds = addedAround(tokenizer, options);
  for (const name of ['bos', 'eos', 'sep'] as const) {
    const value = adds[name];
    if (value !== undefined) metadata.set(`tokenizer.ggml.add_${name}_token`, bool(value));
  }
  for (const [key, value] of chatTemplates(options, files.chatTemplate)) metadata.set(key, value);
  return metadata;
}

function checkSplitPattern(where: string, tokenizer: unknown): void {
  const splits: string[] = [];
  JSON.stringify((tokenizer as { pre_tokenizer?: unknown }).pre_tokenizer, (key, value) => {
    if (key === 'Regex' && typeof value === 'string') splits.push(value);
    return value;
  });
  if (splits.length !== 1 || splits[0] !== LLAMA4_SPLIT_PATTERN) {
    throw unsupported(`${where}: expected Llama 4's pre-tokenizer, found ${splits[0] ?? 'none'}`);
  }
}

function addedTokens(tokenizer: FieldReader): AddedToken[] {
  return (tokenizer.list('added_tokens') ?? []).map((entry, index) => {
    const fields = FieldReader.ofObject(`${tokenizer.where}: added_tokens[${index}]`, entry);
    const content = fields.text('content');
    if (content === undefined) throw fields.refuse('content', 'a string');
    return { id: fields.integer('id', 0, 2 ** 31), content, special: fields.flag('special', false) };
  });
}

function vocabulary(
  model: FieldReader,
  added: readonly AddedToken[],
  vocabSize: number,
): { tokens: string[]; types: number[] } {
  const tokens = new Array<string | undefined>(vocabSize).fill(undefined);
  const types = new Array<number>(vocabSize).fill(TOKEN_TYPE.unused);
  const place = (id: unknown, token: string, type: number) => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw badConfig(
        `${model.where}: expected token ids below vocab_size ${vocabSize}, found ${id} for ${JSON.stringify(token)}`,
      );
    }
    tokens[id] = token;
    types[id] = type;
  };
  const vocab = model.value('vocab');
  if (typeof vocab !== 'object' || Array.isArray(vocab)) throw model.refuse('vocab', 'a map of token to id');
  for (const [token, id] of Object.entries(vocab as object)) place(id, token, TOKEN_TYPE.normal);
  for (const { id, content, special } of added) {
    // llama.cpp counts a token in such brackets as control even where the tokenizer does not call it special.
    const control = special || /^<\|.*\|>$|^<pad>$|^<mask>$/s.test(content);
    if (control) place(id, content, TOKEN_TYPE.control);
    else place(id, content.replaceAll('\u2581', ' '), TOKEN_TYPE.userDefined);
  }
  return { tokens: tokens.map((token, id) => token ?? `[PAD${id}]`), types };
}

/** Merges as `left right`; a space inside a part is written as the byte alphabet writes it. */
function merges(model: FieldReader): string[] {
  return (model.list('merges') ?? []).map((merge) => {
    if (typeof merge === 'string') return merge;
    const pair = Array.isArray(merge) ? merge : [];
    if (pair.length !== 2 || !pair.every((part) => typeof part === 'string')) {
      throw model.refuse('merges', 'a list of pairs of strings');
    }
    return pair.map((part) => part.replaceAll(' ', '\u0120')).join(' ');
  });
}

/** By the token named in tokenizer_config.json, else by the id in config.json. */
function specialTokenId(
  name: string,
  options: FieldReader,
  config: unknown,
  added: readonly AddedToken[],
  vocabSize: number,
): number | undefined {
  const entry = options.value(`${name}_token`);
  const content = typeof entry === 'object' ? (entry as { content?: unknown }).content : entry;
  const found = added.find((token) => token.content === content)?.id;
  if (found !== undefined) return found;
  const key = `${name}_token_id`;
  const top = config as Record<string, unknown> & { text_config?: Record<string, unknown> };
  const id = top[key] ?? top.text_config?.[key];
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize ? id : undefined;
}

/** Which special tokens the post-processor puts around a text (simple templates only, like llama.cpp's reader). */
function addedAround(
  tokenizer: FieldReader,
  options: FieldReader,
): { bos?: boolean; eos?: boolean; sep?: boolean } {
  const post = tokenizer.section('post_processor');
  const steps = post?.list('processors') ?? (post ? [tokenizer.value('post_processor')] : []);
  const adds: { bos?: boolean; eos?: boolean; sep?: boolean } = {};
  for (const [index, step] of steps.entries()) {
    const fields = FieldReader.ofObject(`${tokenizer.where}: post_processor ${index}`, step);
    if (fields.text('type') !== 'TemplateProcessing') continue;
    const single = (fields.list('single') ?? []).map(specialOf);
    if (single.length > 1 && single[0] !== undefined)
      adds.bos = single[0] === contentOf(options, 'bos_token');
    if (single.length > 1 && single.at(-1) !== undefined) adds.eos = true;
    const pair = (fields.list('pair') ?? []).map(specialOf);
    const between = pair.slice(pair.indexOf(undefined) + 1, pair.lastIndexOf(undefined));
    if (between.length > 0) {
      const separators = [contentOf(options, 'sep_token'), contentOf(options, 'eos_token')];
      adds.sep = adds.eos !== true && between[0] !== undefined && separators.includes(between[0]);
    }
  }
  for (const name of ['bos', 'eos', 'sep'] as const) {
    const value = options.value(`add_${name}_token`);
    if (typeof value === 'boolean') adds[name] = value;
  }
  return adds;
}

function specialOf(piece: unknown): string | undefined {
  const id = (piece as { SpecialToken?: { id?: unknown } } | null)?.SpecialToken?.id;
  return typeof id === 'string' ? id : undefined;
}

function contentOf(options: FieldReader, key: string): unknown {
  const entry = options.value(key);
  return typeof entry === 'object' ? (entry as { content?: unknown }).content : entry;
}

/** The template in tokenizer_config.json, one or several with names, else the one in a file of its own. */
function chatTemplates(options: FieldReader, fromFile: string | undefined): [string, MetadataValue][] {
  const value = options.value('chat_template') ?? fromFile;
  if (typeof value === 'string') return [['tokenizer.chat_template', text(value)]];
  if (value === undefined) return [];
  const named = new Map<string, string>();
  for (const [index, entry] of (options.list('chat_template') ?? []).entries()) {
    const fields = FieldReader.ofObject(`${options.where}: chat_template[${index}]`, entry);
    const name = (fields.text('name') ?? '').replace(/[^A-Za-z0-9]/g, '_');
    const template = fields.text('template');
    if (name && template !== undefined) named.set(name, template);
  }
  const main = named.get('default');
  named.delete('default');
  const entries = [...named].map(([name, template]): [string, MetadataValue] => [
    `tokenizer.chat_template.${name}`,
    text(template),
  ]);
  if (named.size > 0) entries.push(['tokenizer.chat_templates', list('string', [...named.keys()])]);
  if (main !== undefined) entries.push(['tokenizer.chat_template', text(main)]);
  return entries;
}

function unsupported(message: string): CriaError {
  return new CriaError('unsupported', 'unsupported-tokenizer', message);
}
