import type { TokenRun } from '../engine/attention.js';
import type { Buffer } from '../engine/buffers.js';
import type { Matrix } from '../engine/matrix.js';
import type { Operations } from '../engine/operations.js';
import { everyToken, type Run, type Target } from '../engine/products.js';
import { AdapterProducts } from './adapter-products.js';
import type { ExpertCache } from './expert-cache.js';
import { chunkOf, type ModelLayout } from './layout.js';
import type { FeedForward, NetworkLayer } from './network-layout.js';
import type { ExpertRound, NetworkOperations, Rows, StepTokens } from './network-operations.js';
import { ropeAngles } from './rope.js';
import { type Routing, routeTokens } from './routing.js';

type Experts = Extract<FeedForward, { kind: 'moe' }>;

/**
 * The network's operations for answers: buffers are memory and are overwritten, keys and values are cached, loaded
 * adapters add to products, and experts may be read as they are needed. As in `Operations`, each expects its inputs
 * complete and ends with a barrier unless its text says otherwise.
 */
export class InferenceOperations implements NetworkOperations {
  readonly #ops: Operations;
  readonly #layout: ModelLayout;
  readonly #expertCache: ExpertCache | undefined;
  readonly #adapters: AdapterProducts | undefined;
  /** Of the tokens of the last step; kept where adapters need to know. */
  #sequences: ArrayLike<number> = [];
  #runs: readonly TokenRun[] = [];
  #tokens = 0;

  /** @param expertCache where routed experts are when the layout has no place for them */
  constructor(ops: Operations, layout: ModelLayout, expertCache?: ExpertCache) {
    this.#ops = ops;
    this.#layout = layout;
    this.#expertCache = expertCache;
    this.#adapters = layout.adapters && new AdapterProducts(ops, layout.adapters);
  }

  begin({ sequences, positions }: StepTokens): void {
    this.#runs = tokenRuns(sequences, positions);
    this.#tokens = positions.length;
    if (this.#adapters) {
      // The command's lists are overwritten before the head of a later step runs.
      this.#sequences = sequences.slice();
      this.#adapters.begin(sequences);
    }
  }

  layer(_index: number, _hidden: Buffer, run: () => void): void {
    run();
  }

  embed(matrix: Matrix, ids: Int32Array, y: Buffer): void {
    this.#ops.embed(matrix, ids, y);
  }

  rmsNorm(x: Buffer, weight: number, y: Buffer, rows: number): void {
    this.#ops.rmsNorm(x, weight, y, rows, this.#layout.config.rmsEps);
  }

  multiply(x: Buffer, rows: Rows, targets: readonly Target[]): void {
    this.#ops.products.multiply(x, rows.runs, targets, this.#additions(x, rows, targets));
  }

  multiplyGated(x: Buffer, rows: Rows, gate: Target, up: Target): void {
    this.#ops.products.multiplyGated(x, rows.runs, gate, up, this.#additions(x, rows, [gate, up]));
  }

  #additions(x: Buffer, { runs, tokens }: Rows, targets: readonly Target[]) {
    if (this.#adapters === undefined) return undefined;
    const sequences = tokens ? Array.from(tokens, (token) => this.#sequences[token]!) : this.#sequences;
    return this.#adapters.additions(x, runs, targets, sequences);
  }

  /** Each lane its own tokens; ends without a barrier, as do the others that work on rows in place. */
  prepareAngles(frequencies: Float32Array, positions: Int32Array, angles: Buffer): void {
    const { lane } = this.#ops;
    const [start, end] = lane.share(positions.length);
    for (let t = start; t < end; t++) {
      const at = rowOf(angles, t) / 4;
      ropeAngles(frequencies, positions[t]!, lane.home.f32.subarray(at, at + angles.columns));
    }
  }

  rotate(x: Buffer, angles: Buffer, rows: number): void {
    const { lane } = this.#ops;
    const { headDim } = this.#layout.config;
    const [start, end] = lane.share(rows);
    for (let t = start; t < end; t++) {
      lane.home.kernels.ropeInterleaved(rowOf(x, t), rowOf(angles, t), x.columns / headDim, headDim);
    }
  }

  normHeads(x: Buffer, rows: number): void {
    const { lane } = this.#ops;
    const { headDim, rmsEps } = this.#layout.config;
    const [start, end] = lane.share(rows);
    for (let at = rowOf(x, start); at < rowOf(x, end); at += headDim * 4) {
      lane.home.kernels.rmsNorm(at, 0, at, headDim, rmsEps);
    }
  }

  scaleRows(x: Buffer, rows: number, factor: (row: number) => number): void {
    const { lane } = this.#ops;
    const [start, end] = lane.share(rows);
    for (let t = start; t < end; t++) lane.home.kernels.scale(rowOf(x, t), factor(t), x.columns);
  }

  attend(index: number, q: Buffer, k: Buffer, v: Buffer, out: Buffer): void {
    const { config, layers } = this.#layout;
    const { attention, lane } = this.#ops;
    const { cache } = layers[index]!;
    const chunk = chunkOf(config, index);
    // A chunked layer sees nothing of earlier chunks, so a chunk's positions reuse the same cache rows.
    const runs = chunk > 0 ? this.#runs.map((run) => ({ ...run, past: run.past % chunk })) : this.#runs;
    const [start, end] = lane.share(this.#tokens);
    for (const { sequence, first, count, past } of runs) {
      const last = Math.min(end, first + count);
      for (let t = Math.max(start, first); t < last; t++) {
        attention.store(cache, k, v, t, sequence, past + t - first);
      }
    }
    lane.barrier();
    attention.attend(cache, q, out, runs);
  }

  /** Every lane works the routing out for itself: it is a few comparisons per token, and saves a barrier. */
  route(logits: Buffer, tokens: number): Routing {
    const { expertCount, expertUsedCount } = this.#layout.config;
    const first = logits.offset / 4;
    const values = this.#ops.lane.home.f32.subarray(first, first + tokens * expertCount);
    return routeTokens(values, tokens, expertCount, expertUsedCount);
  }

  gather(x: Buffer, { tokens, scores }: Routing, y: Buffer): void {
    const { lane } = this.#ops;
    const divided = lane.divides(tokens.length * x.columns);
    const [start, end] = divided ? lane.share(tokens.length) : [0, tokens.length];
    for (let i = start; i < end; i++) {
      lane.home.kernels.scaleInto(rowOf(x, tokens[i]!), rowOf(y, i), scores[i]!, x.columns);
    }
    if (divided) lane.barrier();
  }

  /** A token's rows are added by the lane that owns the token, in expert order, whatever the thread count. */
  scatter(x: Buffer, { tokens }: Routing, y: Buffer): void {
    const { lane } = this.#ops;
    const [first, last] = lane.share(this.#tokens);
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      if (token >= first && token < last) lane.home.kernels.add(rowOf(x, i), rowOf(y, token), y.columns);
    }
    lane.barrier();
  }

  experts(index: number, layer: NetworkLayer, runs: readonly Run[]): Iterable<ExpertRound> {
    if (this.#expertCache === undefined) {
      const { gateExperts: gate, upExperts: up, downExperts: down } = layer.feedForward as Experts;
      return [{ runs, gate, up, down }];
    }
    return this.#expertCache.rounds(index, runs, this.#predictExperts(index + 1));
  }

  pick(x: Buffer, rows: Int32Array, y: Buffer): void {
    const { lane } = this.#ops;
    const rowBytes = x.columns * 4;
    const divided = lane.divides(rows.length * x.columns);
    const [start, end] = divided ? lane.share(rows.length) : [0, rows.length];
    for (let i = start; i < end; i++) {
      const from = rowOf(x, rows[i]!);
      lane.home.u8.copyWithin(rowOf(y, i), from, from + rowBytes);
    }
    if (divided) lane.barrier();
  }

  /** Calibration counts every position, while logits are computed for few. */
  end(hidden: Buffer): void {
    const { buffers, outputNorm, outputSquares } = this.#layout;
    if (!outputSquares) return;
    this.rmsNorm(hidden, outputNorm, buffers.normed, this.#tokens);
    this.#ops.products.measure(buffers.normed, everyToken(this.#tokens), outputSquares);
    this.#ops.lane.barrier();
  }

  /**
   * The experts that the next layer with experts, from `from` on, will want for the current tokens, as far as its
   * router can tell from a hidden state that the layers between have yet to change. The most wanted come first.
   */
  #predictExperts(from: number): { readonly layer: number; readonly experts: readonly number[] } | undefined {
    const { config, layers, buffers, expertCache } = this.#layout;
    const layer = layers.findIndex(({ feedForward }, i) => i >= from && feedForward.kind === 'moe');
    const predictedLogits = expertCache?.predictedLogits;
    if (layer < 0 || predictedLogits === undefined) return undefined;
    const { ffnNorm, feedForward } = layers[layer]!;
    const router = { ...(feedForward as Experts).router, inputSquares: undefined };
    const { hidden, expertOutput } = buffers;
    const tokens = this.#tokens;
    // No expert has written its output yet.
    this.rmsNorm(hidden, ffnNorm, expertOutput, tokens);
    this.#ops.products.multiply(expertOutput, everyToken(tokens), [{ matrix: router, y: predictedLogits }]);
    const { starts } = this.route(predictedLogits, tokens);
    const wanted = (expert: number) => starts[expert + 1]! - starts[expert]!;
    const experts = Array.from({ length: config.expertCount }, (_, expert) => expert)
      .filter((expert) => wanted(expert) > 0)
      .sort((a, b) => wanted(b) - wanted(a) || a - b);
    return { layer, experts };
  }
}

/** Cuts a step's tokens where the sequence changes. */
function tokenRuns(sequences: Int32Array, positions: Int32Array): TokenRun[] {
  const runs: TokenRun[] = [];
  for (let first = 0; first < sequences.length; ) {
    let end = first + 1;
    while (end < sequences.length && sequences[end] === sequences[first]) end++;
    runs.push({ sequence: sequences[first]!, first, count: end - first, past: positions[first]! });
    first = end;
  }
  return runs;
}

/** Address of row `index` of a buffer. */
function rowOf(buffer: Buffer, index: number): number {
  return buffer.offset + index * buffer.columns * 4;
}
