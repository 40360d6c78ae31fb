import type { Sequence } from './sequence.js';

/** What is learnt as one: a sequence, or a pair of them, with the rows of its pictures. */
export interface Example {
  readonly sequences: readonly Sequence[];
  /** Blobs of picture rows, one after another, which negative ids count through from −1 on. */
  readonly pictures: readonly number[];
}

/**
 * An example as bytes. 32-bit words: number of sequences, of pictures, the lengths, the pictures, the ids of all
 * sequences; then the flags of all sequences, a byte each.
 */
export function encodeExample({ sequences, pictures }: Example): Uint8Array {
  const words = [sequences.length, pictures.length, ...sequences.map(({ ids }) => ids.length), ...pictures];
  const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  const bytes = new Uint8Array(4 * (words.length + tokens) + tokens);
  const header = new Int32Array(bytes.buffer, 0, words.length + tokens);
  header.set(words);
  let at = words.length;
  let flagsAt = 4 * (words.length + tokens);
  for (const { ids, learnt } of sequences) {
    header.set(ids, at);
    bytes.set(learnt, flagsAt);
    at += ids.length;
    flagsAt += ids.length;
  }
  return bytes;
}

export function decodeExample(bytes: Uint8Array): Example {
  // Views of 32-bit words need an aligned buffer of their own.
  const { buffer } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const base = bytes.byteOffset % 4 === 0 ? bytes.byteOffset : 0;
  const words = new Int32Array(buffer, base, Math.floor(bytes.length / 4));
  const [count, pictureCount] = [words[0]!, words[1]!];
  const lengths = Array.from(words.subarray(2, 2 + count));
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  let at = 2 + count + pictureCount;
  let flagsAt = base + 4 * (at + tokens);
  const sequences = lengths.map((length) => {
    const ids = words.slice(at, at + length);
    const learnt = new Uint8Array(buffer, flagsAt, length).slice();
    at += length;
    flagsAt += length;
    return { ids, learnt };
  });
  return { sequences, pictures: Array.from(words.subarray(2 + count, 2 + count + pictureCount)) };
}
