import type { Buffer } from '../engine/buffers.js';
import type { Matrix } from '../engine/matrix.js';
import type { Run, Target } from '../engine/products.js';
import type { NetworkLayer } from './network-layout.js';
import type { Routing } from './routing.js';

/**
 * Tokens of a step, with the sequence and position of each. Tokens of a sequence are together, at consecutive
 * positions.
 */
export interface StepTokens {
  readonly ids: Int32Array;
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
}

/** Rows of a buffer that an operation works on. */
export interface Rows {
  readonly count: number;
  /** Which of them meet which pieces of matrices; together they are all rows. */
  readonly runs: readonly Run[];
  /** The token, of the last step, that each row is of; row t is of token t when absent. */
  readonly tokens?: Int32Array;
}

/** Experts' matrices, and the rows of the gathered input that are multiplied with each. */
export interface ExpertRound {
  readonly runs: readonly Run[];
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
}

/**
 * What the network is made of: all that `Llama4` calls. Buffers are [rows][columns] of floats; a training
 * implementation takes them for names and keeps what was in them for the way back. Every lane makes the same calls.
 */
export interface NetworkOperations {
  /** Announces a step. */
  begin(tokens: StepTokens): void;
  /** Runs layer `index`, which reads nothing but `hidden` of what was written before, and leaves nothing but it. */
  layer(index: number, hidden: Buffer, run: () => void): void;
  /** y[i] = matrix[ids[i]]; rows with a negative id are embedded pictures. */
  embed(matrix: Matrix, ids: Int32Array, y: Buffer): void;
  /** y[t] = x[t] / rms(x[t]) × the vector at `weight`. */
  rmsNorm(x: Buffer, weight: number, y: Buffer, rows: number): void;
  /** y (+)= matrix × x for every target, all of which read the same `x`. */
  multiply(x: Buffer, rows: Rows, targets: readonly Target[]): void;
  /** gate.y = silu(gate × x) × (up × x), with up.y as room. */
  multiplyGated(x: Buffer, rows: Rows, gate: Target, up: Target): void;
  /** The (cos, sin) of every token's position and frequency, in `angles`. */
  prepareAngles(frequencies: Float32Array, positions: Int32Array, angles: Buffer): void;
  /** RoPE on every head of `x`, in place. */
  rotate(x: Buffer, angles: Buffer, rows: number): void;
  /** Weightless norm of every head of `x`, in place. */
  normHeads(x: Buffer, rows: number): void;
  /** x[t] ×= factor(t), in place. */
  scaleRows(x: Buffer, rows: number, factor: (row: number) => number): void;
  /** Causal attention of the step's tokens to their sequences, in layer `index`. Queries carry the 1/√dim factor. */
  attend(index: number, q: Buffer, k: Buffer, v: Buffer, out: Buffer): void;
  /** Picks every token's experts by its logits. */
  route(logits: Buffer, tokens: number): Routing;
  /** y[i] = score[i] × x[token of i] */
  gather(x: Buffer, routing: Routing, y: Buffer): void;
  /** y[token of i] += x[i] */
  scatter(x: Buffer, routing: Routing, y: Buffer): void;
  /** The experts of layer `index` with their rows, as they can be had. */
  experts(index: number, layer: NetworkLayer, runs: readonly Run[]): Iterable<ExpertRound>;
  /** y[i] = x[rows[i]], of the last step. */
  pick(x: Buffer, rows: Int32Array, y: Buffer): void;
  /** Ends a step, whose last hidden states are in `hidden`. */
  end(hidden: Buffer): void;
}
