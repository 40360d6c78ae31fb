import type { DecodeOptions, Tokenizer } from './tokenizer.js';

/**
 * Decodes tokens one at a time. Bytes that may still become a character are held back; the emitted texts and the
 * flushed rest together are exactly what decoding all tokens at once gives.
 */
export class StreamingDecoder {
  readonly #tokenizer: Pick<Tokenizer, 'decodeBytes'>;
  readonly #options: DecodeOptions;
  #decoder = createDecoder();

  constructor(tokenizer: Pick<Tokenizer, 'decodeBytes'>, options: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** The characters that this token completes. Throws `unknown-token-id`. */
  push(id: number): string {
    return this.#decoder.decode(this.#tokenizer.decodeBytes([id], this.#options), { stream: true });
  }

  /** The held-back bytes, U+FFFD for an unfinished character. The decoder is then as new. */
  flush(): string {
    const rest = this.#decoder.decode();
    this.#decoder = createDecoder();
    return rest;
  }
}

/** A UTF-8 decoder that keeps U+FEFF, which TextDecoder drops from the start of a text by default. */
export function createDecoder() {
  return new TextDecoder('utf-8', { ignoreBOM: true });
}
