import { CriaError } from '../base/errors.js';
import { indexOfLargest, logSumExp } from './log-softmax.js';

/*
 * One row of a `--kl-divergence-base` file (llama.cpp, tools/perplexity/perplexity.cpp): f32 scale, f32 floor, then
 * for each token a u16 level, padded to an even number; log-probability = scale × level + floor. The levels cover
 * the range from the largest logit down to 16 below it.
 */

/** A row as it is stored. */
export interface StoredRow {
  readonly scale: number;
  /** Log-probability of level 0. */
  readonly floor: number;
  /** `[vocabSize]` */
  readonly levels: Uint16Array;
}

const HEAD_WORDS = 4;
const TOP_LEVEL = 65535;
const RANGE = 16;
/** log p of a certain token may come out this much above 0. */
const ROUNDING = 1e-3;

/** 16-bit words of a row. */
export function storedRowWords(vocabSize: number): number {
  return 2 * Math.ceil(vocabSize / 2) + HEAD_WORDS;
}

/**
 * Writes the log-probabilities of `logits` into `words`, which starts on a multiple of four bytes and is
 * `storedRowWords` long. Single precision where llama.cpp has it, so that equal logits give equal levels.
 */
export function storeRow(logits: Float32Array, words: Uint16Array): void {
  const { fround } = Math;
  const max = logits[indexOfLargest(logits)]!;
  let min = max;
  for (let i = 0; i < logits.length; i++) if (logits[i]! < min) min = logits[i]!;
  min = Math.max(min, fround(max - RANGE));
  const head = new Float32Array(words.buffer, words.byteOffset, 2);
  const scale = fround(fround(max - min) / TOP_LEVEL);
  head[0] = scale;
  head[1] = fround(min - max) - fround(logSumExp(logits) - max);
  words.fill(0, HEAD_WORDS);
  if (scale === 0) return;
  const inverse = fround(1 / scale);
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > min) words[HEAD_WORDS + i] = roundHalfEven(fround(inverse * fround(logit - min)));
  }
}

/**
 * The row that starts at `words[0]`. Throws `bad-log-probs` (bad-file) when scale and floor are not those of
 * probabilities; `where` names the row in the message.
 */
export function readStoredRow(words: Uint16Array, vocabSize: number, where: () => string): StoredRow {
  const [scale, floor] = new Float32Array(words.buffer, words.byteOffset, 2) as unknown as [number, number];
  if (!(scale >= 0 && floor > -Infinity && floor + scale * TOP_LEVEL <= ROUNDING)) {
    throw new CriaError(
      'bad-file',
      'bad-log-probs',
      `${where()}: expected log-probabilities of at most 0, found scale ${scale} and lowest ${floor}`,
    );
  }
  return { scale, floor, levels: words.subarray(HEAD_WORDS, HEAD_WORDS + vocabSize) };
}

/** For 0 ≤ x < 2^23: above 2^23, single precision has no fractions, and additions round to even. */
function roundHalfEven(x: number): number {
  return Math.fround(x + 2 ** 23) - 2 ** 23;
}
