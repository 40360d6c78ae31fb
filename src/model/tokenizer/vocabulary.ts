import { CriaError } from '../../base/errors.js';

/** Token kinds, numbered as `tokenizer.ggml.token_type` numbers them. */
export const NORMAL = 1;
/** Has a meaning of its own and shows as text only on request: `<|eot|>`. */
export const CONTROL = 3;
/** Added as a whole to the vocabulary, but ordinary text. */
export const USER_DEFINED = 4;
/** Fills an id that no text gives: `[PAD 201135]`. */
export const UNUSED = 5;

/** A byte-level BPE vocabulary, whichever file it came from. */
export interface Vocabulary {
  /** Tokens by id, as the file spells them (normal tokens in the byte-level alphabet: `Ġthe`). */
  readonly texts: readonly string[];
  /** Kind of each token. */
  readonly kinds: Uint8Array;
  /** Ids by text, without the unused tokens. */
  readonly ids: ReadonlyMap<string, number>;
  /** Pairs in order of rank, `left right`. */
  readonly merges: readonly string[];
  /** Whether a piece that is itself a token is taken whole, without merging up to it. */
  readonly ignoreMerges: boolean;
  readonly bosId: number | undefined;
  readonly padId: number | undefined;
  /** Tokens the file names as ends of sequence or turn, ascending. */
  readonly stopIds: readonly number[];
}

// Llama 4 has 202 048 tokens and some 440 000 merges. A rank has to fit the 21 bits that the merge queue gives it;
// special tokens are matched at every position of the text, so their length bounds the time per character.
const MAX_TOKENS = 1 << 20;
const MAX_MERGES = (1 << 21) - 1;
const MAX_TEXT_LENGTH = 4096;
const MAX_SPECIAL_LENGTH = 256;

// Stop tokens by name, because files in use name only one of them as end of sequence.
const STOP_NAMES = ['<|end_of_text|>', '<|eom|>', '<|eot|>'];
const BOS_NAME = '<|begin_of_text|>';
const PAD_NAME = '<|finetune_right_pad|>';

export function badTokenizer(code: string, message: string): CriaError {
  return new CriaError('bad-file', code, `tokenizer: ${message}`);
}

/** A tokenizer of another kind than Llama 4's. */
export function unsupportedTokenizer(what: string, expected: unknown, found: unknown): CriaError {
  const shown = String(JSON.stringify(found)).slice(0, 60);
  return new CriaError(
    'unsupported',
    'tokenizer-unsupported',
    `tokenizer: expected ${what} to be ${JSON.stringify(expected)}, found ${shown}`,
  );
}

export function checkVocabularySize(tokens: number, merges: number): void {
  if (tokens === 0) throw badTokenizer('tokenizer-no-vocabulary', 'expected a vocabulary, found no tokens');
  if (tokens > MAX_TOKENS) {
    throw badTokenizer('tokenizer-too-large', `expected at most ${MAX_TOKENS} tokens, found ${tokens}`);
  }
  if (merges > MAX_MERGES) {
    throw badTokenizer('tokenizer-too-large', `expected at most ${MAX_MERGES} merges, found ${merges}`);
  }
}

/** Ids named by the file; what it leaves out is found by the name Llama 4 gives it. */
export interface NamedIds {
  readonly bos: number | undefined;
  readonly pad: number | undefined;
  readonly stops: readonly (number | undefined)[];
}

/**
 * Completes and checks a vocabulary. Throws `bad-file` errors: `tokenizer-text-length`,
 * `tokenizer-duplicate-token`, `tokenizer-bad-id`.
 */
export function createVocabulary(
  parts: Pick<Vocabulary, 'texts' | 'kinds' | 'merges' | 'ignoreMerges'>,
  named: NamedIds,
): Vocabulary {
  const ids = idsByText(parts);
  for (const id of [named.bos, named.pad, ...named.stops]) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < parts.texts.length)) {
      throw badTokenizer('tokenizer-bad-id', `special token id ${id} is outside 0…${parts.texts.length - 1}`);
    }
  }
  const stops = [...named.stops, ...STOP_NAMES.map((name) => ids.get(name))];
  return {
    ...parts,
    ids,
    bosId: named.bos ?? ids.get(BOS_NAME),
    padId: named.pad ?? ids.get(PAD_NAME),
    stopIds: [...new Set(stops.filter((id) => id !== undefined))].sort((a, b) => a - b),
  };
}

function idsByText({ texts, kinds }: Pick<Vocabulary, 'texts' | 'kinds'>): Map<string, number> {
  const ids = new Map<string, number>();
  for (let id = 0; id < texts.length; id++) {
    if (kinds[id] === UNUSED) continue;
    const text = texts[id]!;
    const limit = kinds[id] === NORMAL ? MAX_TEXT_LENGTH : MAX_SPECIAL_LENGTH;
    if (text.length === 0 || text.length > limit) {
      throw badTokenizer(
        'tokenizer-text-length',
        `expected 1 to ${limit} characters in token ${id}, found ${text.length}`,
      );
    }
    if (ids.has(text)) {
      throw badTokenizer(
        'tokenizer-duplicate-token',
        `tokens ${ids.get(text)} and ${id} have the same text ${JSON.stringify(text.slice(0, 60))}`,
      );
    }
    ids.set(text, id);
  }
  return ids;
}
