import { CriaError } from '../../base/errors.js';
import { BYTE_CHARACTERS, spelledBytes } from './byte-alphabet.js';
import { BytePairMerger } from './byte-pair-merger.js';
import { MergeTable } from './merge-table.js';
import { PreTokenizer } from './pre-tokenizer.js';
import { SpecialMatcher } from './special-matcher.js';
import { createDecoder, StreamingDecoder } from './streaming-decoder.js';
import { forEachUtf8Run } from './utf8.js';
import { badTokenizer, CONTROL, NORMAL, USER_DEFINED, type Vocabulary } from './vocabulary.js';

export interface EncodeOptions {
  /** Put the begin-of-text token first, unless the text's own first token is already that one. Default false. */
  addBos?: boolean;
  /**
   * Take the texts of control tokens (`<|eot|>`) for those tokens. Default false: they are ordinary text, so that
   * what a user types cannot end a turn.
   */
  parseSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave control tokens out of the text. Default false. */
  skipSpecial?: boolean;
}

// Words repeat, so the tokens of short pieces are kept; all are forgotten when there are this many. A substring
// of up to 12 characters is a copy in V8, while a longer one would keep the whole text it was cut from in memory.
const MAX_CACHED_PIECES = 1 << 16;
const MAX_CACHED_LENGTH = 12;

/**
 * Byte-level BPE as Llama 4 uses it: text to token ids and back. Every text and every byte string can be encoded,
 * and decodes to itself.
 */
export class Tokenizer {
  readonly vocabulary: Vocabulary;
  readonly #preTokenizer = new PreTokenizer();
  readonly #merger: BytePairMerger;
  readonly #userDefined: SpecialMatcher;
  readonly #allSpecial: SpecialMatcher;
  readonly #byteIds: Int32Array;
  /** Bytes of all tokens one after another; token `id` is `[#offsets[id], #offsets[id + 1])`. */
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #longestToken: number;
  /** Tokens of short pieces seen before. */
  readonly #cache = new Map<string, number | readonly number[]>();
  readonly #utf8 = new TextEncoder();
  readonly #shortPiece = new Uint8Array(1024);

  /** Throws `bad-file`: `tokenizer-missing-byte` and the codes of `MergeTable`. */
  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    [this.#bytes, this.#offsets] = packBytes(vocabulary);
    this.#longestToken = vocabulary.texts.reduce((longest, text) => Math.max(longest, text.length), 0);
    this.#byteIds = findByteIds(vocabulary);
    this.#merger = new BytePairMerger(new MergeTable(vocabulary), this.#byteIds);
    this.#userDefined = new SpecialMatcher(tokensOfKinds(vocabulary, USER_DEFINED));
    this.#allSpecial = new SpecialMatcher(tokensOfKinds(vocabulary, USER_DEFINED, CONTROL));
  }

  /** Number of ids, from 0 on, that may occur in text. A model's logits may have more entries, never to be sampled. */
  get vocabSize(): number {
    return this.vocabulary.texts.length;
  }

  get bosId(): number | undefined {
    return this.vocabulary.bosId;
  }

  get padId(): number | undefined {
    return this.vocabulary.padId;
  }

  /** Tokens that end a turn or a text, ascending. */
  get stopIds(): readonly number[] {
    return this.vocabulary.stopIds;
  }

  /** Id of the token with this spelling (as in the vocabulary: `<|eot|>`, `Ġthe`). */
  tokenId(text: string): number | undefined {
    return this.vocabulary.ids.get(text);
  }

  /** A token as the vocabulary spells it. Throws `unknown-token-id`. */
  tokenText(id: number): string {
    this.#checkId(id);
    return this.vocabulary.texts[id]!;
  }

  /** Whether the token is a control token, which is not part of the text a reader sees. */
  isSpecial(id: number): boolean {
    return this.vocabulary.kinds[id] === CONTROL;
  }

  /** Whether the token stands for text: not a control token, nor one that fills an id. */
  isText(id: number): boolean {
    const kind = this.vocabulary.kinds[id];
    return kind === NORMAL || kind === USER_DEFINED;
  }

  /** Token ids of a text. A lone surrogate is encoded as U+FFFD. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    const matcher = options.parseSpecial ? this.#allSpecial : this.#userDefined;
    let done = 0;
    matcher.forEach(text, (id, start, end) => {
      this.#encodeText(text, done, start, ids);
      ids.push(id);
      done = end;
    });
    this.#encodeText(text, done, text.length, ids);
    const { bosId } = this.vocabulary;
    if (options.addBos && bosId !== undefined && ids[0] !== bosId) ids.unshift(bosId);
    return ids;
  }

  /**
   * Token ids of any bytes: stretches of valid UTF-8 as `encode` gives them (no control tokens), every other byte as
   * the token of that byte. `decodeBytes` gives the bytes back.
   */
  encodeBytes(bytes: Uint8Array): number[] {
    const ids: number[] = [];
    const decoder = createDecoder();
    forEachUtf8Run(bytes, (start, end, valid) => {
      if (valid) {
        for (const id of this.encode(decoder.decode(bytes.subarray(start, end)))) ids.push(id);
      } else {
        for (let i = start; i < end; i++) ids.push(this.#byteIds[bytes[i]!]!);
      }
    });
    return ids;
  }

  /** Text of tokens; bytes that are not UTF-8 become U+FFFD. Throws `unknown-token-id`. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    return createDecoder().decode(this.decodeBytes(ids, options));
  }

  /** Bytes of tokens. Throws `unknown-token-id`. */
  decodeBytes(ids: ArrayLike<number>, options: DecodeOptions = {}): Uint8Array {
    let length = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      this.#checkId(id);
      length += this.#offsets[id + 1]! - this.#offsets[id]!;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (options.skipSpecial && this.isSpecial(id)) continue;
      bytes.set(this.#bytes.subarray(this.#offsets[id]!, this.#offsets[id + 1]!), at);
      at += this.#offsets[id + 1]! - this.#offsets[id]!;
    }
    return bytes.subarray(0, at);
  }

  streamingDecoder(options?: DecodeOptions): StreamingDecoder {
    return new StreamingDecoder(this, options);
  }

  #checkId(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new CriaError(
        'usage',
        'unknown-token-id',
        `expected token ids from 0 to ${this.vocabSize - 1}, found ${id}`,
      );
    }
  }

  #encodeText(text: string, start: number, end: number, out: number[]): void {
    this.#preTokenizer.split(text, start, end, (from, to) => {
      const piece = text.slice(from, to);
      if (piece.length > MAX_CACHED_LENGTH) {
        this.#encodePiece(piece, out);
        return;
      }
      const cached = this.#cache.get(piece);
      if (typeof cached === 'number') {
        out.push(cached);
      } else if (cached !== undefined) {
        for (let i = 0; i < cached.length; i++) out.push(cached[i]!);
      } else {
        const first = out.length;
        this.#encodePiece(piece, out);
        if (this.#cache.size >= MAX_CACHED_PIECES) this.#cache.clear();
        this.#cache.set(piece, out.length === first + 1 ? out[first]! : out.slice(first));
      }
    });
  }

  #encodePiece(piece: string, out: number[]): void {
    const room = 3 * piece.length;
    const bytes = room <= this.#shortPiece.length ? this.#shortPiece : new Uint8Array(room);
    const { written } = this.#utf8.encodeInto(piece, bytes);
    const whole = this.#wholeToken(bytes, written);
    if (whole === undefined) this.#merger.merge(bytes, written, out);
    else out.push(whole);
  }

  /** The normal token that the first `length` bytes are, where pieces that are tokens are taken whole. */
  #wholeToken(bytes: Uint8Array, length: number): number | undefined {
    if (!this.vocabulary.ignoreMerges || length > this.#longestToken) return undefined;
    let spelling = '';
    for (let i = 0; i < length; i++) spelling += BYTE_CHARACTERS[bytes[i]!]!;
    const id = this.vocabulary.ids.get(spelling);
    return id !== undefined && this.vocabulary.kinds[id] === NORMAL ? id : undefined;
  }
}

/** Bytes of all tokens in one array, and where each begins (one more entry for the end). */
function packBytes({ texts, kinds }: Vocabulary): [bytes: Uint8Array, offsets: Uint32Array] {
  const utf8 = new TextEncoder();
  const offsets = new Uint32Array(texts.length + 1);
  const parts = texts.map((text, id) => {
    const bytes = (kinds[id] === NORMAL ? spelledBytes(text) : undefined) ?? utf8.encode(text);
    offsets[id + 1] = offsets[id]! + bytes.length;
    return bytes;
  });
  const bytes = new Uint8Array(offsets[texts.length]!);
  for (const [id, part] of parts.entries()) bytes.set(part, offsets[id]);
  return [bytes, offsets];
}

function findByteIds({ ids, kinds }: Vocabulary): Int32Array {
  return Int32Array.from(BYTE_CHARACTERS, (spelling, byte) => {
    const id = ids.get(spelling);
    if (id === undefined || kinds[id] !== NORMAL) {
      throw badTokenizer(
        'tokenizer-missing-byte',
        `expected a token for every byte, found none for byte ${byte} (${spelling})`,
      );
    }
    return id;
  });
}

function* tokensOfKinds({ texts, kinds }: Vocabulary, ...wanted: number[]): Iterable<[string, number]> {
  for (const [id, text] of texts.entries()) {
    if (wanted.includes(kinds[id]!)) yield [text, id];
  }
}
