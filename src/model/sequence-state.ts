import { CriaError } from '../base/errors.js';
import type { Outputs } from './token-model.js';

/**
 * What the cache holds of one sequence. Layers with chunked attention keep one chunk, so that going back to an earlier
 * one means computing it again from its start; the full layers still have everything before it.
 */
export class SequenceState {
  readonly #chunk: number;
  readonly #tokens: Int32Array;
  #length = 0;
  /** Which chunk the chunked layers' rows belong to; −1 for none. */
  #heldChunk = -1;

  /** @param chunk positions of an attention chunk; 0 when no layer is chunked */
  constructor(contextSize: number, chunk: number) {
    this.#chunk = chunk;
    this.#tokens = new Int32Array(contextSize);
  }

  /** Positions whose keys and values are cached. */
  get length(): number {
    return this.#length;
  }

  /** Tokens `[from, to)`, also those of a run that was begun but not computed yet. */
  tokens(from = 0, to = this.#length): Int32Array {
    return this.#tokens.subarray(from, to);
  }

  /** Drops what follows `position`, takes the tokens of a run there, and returns where computing has to begin. */
  begin(tokens: ArrayLike<number>, position: number): number {
    const start = this.#startFor(position);
    this.#length = Math.min(this.#length, start);
    this.#tokens.set(tokens, position);
    return start;
  }

  /** Notes that everything before `end` is cached. */
  advance(end: number): void {
    this.#length = end;
    if (this.#chunk > 0) this.#heldChunk = Math.floor((end - 1) / this.#chunk);
  }

  /** Takes `tokens` for cached, whose rows were put there by other means: those of their last, unfinished chunk. */
  adopt(tokens: ArrayLike<number>): void {
    this.#tokens.set(tokens);
    this.#length = tokens.length;
    const unfinished = this.#chunk > 0 && tokens.length % this.#chunk > 0;
    this.#heldChunk = unfinished ? Math.floor(tokens.length / this.#chunk) : -1;
  }

  clear(): void {
    this.#length = 0;
    this.#heldChunk = -1;
  }

  #startFor(position: number): number {
    if (this.#chunk === 0 || position % this.#chunk === 0) return position;
    const chunk = Math.floor(position / this.#chunk);
    return chunk === this.#heldChunk ? position : chunk * this.#chunk;
  }
}

/** One part of a batch on its way through the steps. */
export class PendingPart {
  readonly sequence: number;
  readonly state: SequenceState;
  readonly end: number;
  /** Logits of `wanted`, `[wanted.length][vocabSize]`. */
  readonly logits: Float32Array;
  readonly #wanted: readonly number[];
  #next: number;
  #answered = 0;

  /** @param wanted ascending positions whose logits are to be computed */
  constructor(
    sequence: number,
    state: SequenceState,
    range: { start: number; end: number },
    wanted: readonly number[],
    vocabSize: number,
  ) {
    this.sequence = sequence;
    this.state = state;
    this.#next = range.start;
    this.end = range.end;
    this.#wanted = wanted;
    this.logits = new Float32Array(wanted.length * vocabSize);
  }

  /** Position of the next token to compute. */
  get next(): number {
    return this.#next;
  }

  /** Tokens for a step with `room`: cut where an attention chunk ends. */
  stepLength(room: number, chunk: number): number {
    const count = Math.min(this.end - this.#next, room);
    return chunk > 0 ? Math.min(count, chunk - (this.#next % chunk)) : count;
  }

  /** The wanted positions among the next `count`. */
  wantedWithin(count: number): readonly number[] {
    let end = this.#answered;
    while (end < this.#wanted.length && this.#wanted[end]! < this.#next + count) end++;
    return this.#wanted.slice(this.#answered, end);
  }

  /** Where the logits of the next wanted position go. */
  takeRow(): Float32Array {
    const width = this.logits.length / this.#wanted.length;
    const start = this.#answered++ * width;
    return this.logits.subarray(start, start + width);
  }

  /** Notes that the next `count` tokens were computed. */
  advance(count: number): void {
    if (count === 0) return;
    this.#next += count;
    this.state.advance(this.#next);
  }
}

/** What one step computes: for each token its sequence and position, the rows that want logits, and whose they are. */
export interface GatheredStep {
  readonly ids: readonly number[];
  readonly sequences: readonly number[];
  readonly positions: readonly number[];
  readonly rows: readonly { readonly row: number; readonly part: PendingPart }[];
  /** Tokens of each part. */
  readonly counts: readonly number[];
}

/** As many tokens of the parts as fit a step, in order. Changes nothing. */
export function gatherStep(parts: readonly PendingPart[], batchSize: number, chunk: number): GatheredStep {
  const ids: number[] = [];
  const sequences: number[] = [];
  const positions: number[] = [];
  const rows: { row: number; part: PendingPart }[] = [];
  const counts = parts.map((part) => {
    const first = ids.length;
    const count = part.stepLength(batchSize - first, chunk);
    for (let i = 0; i < count; i++) {
      sequences.push(part.sequence);
      positions.push(part.next + i);
    }
    ids.push(...part.state.tokens(part.next, part.next + count));
    for (const position of part.wantedWithin(count)) rows.push({ row: first + position - part.next, part });
    return count;
  });
  return { ids, sequences, positions, rows, counts };
}

/** Indices of a run of `tokens` that give logits. Throws `bad-output-position`. */
export function outputRows(outputs: Outputs, tokens: number): readonly number[] {
  if (outputs === 'none' || tokens === 0) return [];
  if (outputs === 'last') return [tokens - 1];
  if (outputs === 'all') return Array.from({ length: tokens }, (_, i) => i);
  let previous = -1;
  for (const index of outputs) {
    if (!Number.isInteger(index) || index <= previous || index >= tokens) {
      throw new CriaError(
        'usage',
        'bad-output-position',
        `output positions must be ascending and below ${tokens}: found ${index} after ${previous}`,
      );
    }
    previous = index;
  }
  return outputs;
}
