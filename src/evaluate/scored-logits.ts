import type { TokenModel } from '../model/token-model.js';
import type { TextWindow } from './text-windows.js';

/** Logits held at once: 2^26 floats are 256 MiB, a whole window of 512 for Llama 4's vocabulary. */
const LOGITS_AT_ONCE = 2 ** 26;

/** Consecutive scored positions of a window. */
export interface ScoredLogits {
  /** Position of the first row; row `i` predicts the token at `first + i + 1`. */
  readonly first: number;
  readonly rows: number;
  /** `[rows, vocabSize]` */
  readonly logits: Float32Array;
}

/** The logits of the scored positions of a window, in as few pieces as memory allows. */
export async function* scoredLogits(
  model: TokenModel,
  { ids, firstScored }: TextWindow,
  signal?: AbortSignal,
): AsyncGenerator<ScoredLogits, void, void> {
  const rowsAtOnce = Math.max(1, Math.floor(LOGITS_AT_ONCE / model.vocabSize));
  // The last token is only ever a target: evaluating it would give logits that nothing reads.
  const end = ids.length - 1;
  let evaluated = 0;
  for (let first = firstScored; first < end; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, end - first);
    const outputs = Array.from({ length: rows }, (_, i) => first - evaluated + i);
    const logits = await model.evaluate(ids.slice(evaluated, first + rows), evaluated, outputs, signal);
    yield { first, rows, logits };
    evaluated = first + rows;
  }
}
