import type { TokenRun } from '../engine/attention.js';
import type { Buffer } from '../engine/buffers.js';
import type { Operations } from '../engine/operations.js';
import { everyToken, type Run, type Target } from '../engine/products.js';
import { AdapterProducts } from './adapter-products.js';
import type { ExpertCache, ExpertRound } from './expert-cache.js';
import { chunkOf, type FeedForward, type LayerLayout, type ModelLayout } from './layout.js';
import { ropeAngles, ropeFrequencies } from './rope.js';
import { routeTokens } from './routing.js';

/**
 * Tokens of a step, with the sequence and position of each. Tokens of a sequence are together, at consecutive
 * positions.
 */
export interface StepTokens {
  readonly ids: Int32Array;
  readonly sequences: Int32Array;
  readonly positions: Int32Array;
}

type Experts = Extract<FeedForward, { kind: 'moe' }>;

/**
 * The Llama 4 text network. Every lane runs the same calls; each operation divides its own work.
 * Shapes in comments are row-major, T = tokens of the step.
 */
export class Llama4 {
  readonly #ops: Operations;
  readonly #layout: ModelLayout;
  readonly #frequencies: Float32Array;
  readonly #expertCache: ExpertCache | undefined;
  readonly #adapters: AdapterProducts | undefined;
  /** Of the tokens of the last forward pass. */
  #sequences: ArrayLike<number> = [];

  /**
   * @param ropeDivisors `rope_freqs.weight`, [headDim / 2], where frequencies are scaled
   * @param expertCache where routed experts are when the layout has no place for them
   */
  constructor(ops: Operations, layout: ModelLayout, ropeDivisors?: Float32Array, expertCache?: ExpertCache) {
    this.#ops = ops;
    this.#layout = layout;
    this.#expertCache = expertCache;
    this.#adapters = layout.adapters && new AdapterProducts(ops, layout.adapters);
    const { ropeTheta, headDim } = layout.config;
    this.#frequencies = ropeFrequencies(ropeTheta, headDim, ropeDivisors);
  }

  /** Runs a step's tokens, each run within one attention chunk, and leaves the hidden state [T, width]. */
  forward({ ids, sequences, positions }: StepTokens): void {
    const { layers, buffers, tokenEmbedding } = this.#layout;
    const runs = tokenRuns(sequences, positions);
    if (this.#adapters) {
      // The command's lists are overwritten before the head of a later step runs.
      this.#sequences = sequences.slice();
      this.#adapters.begin(sequences);
    }
    this.#prepareAngles(positions);
    this.#ops.embed(tokenEmbedding, ids, buffers.hidden);
    for (const [index, layer] of layers.entries()) {
      this.#attention(layer, index, positions, runs);
      this.#feedForward(layer, index, ids.length);
    }
    this.#measureOutputInput(ids.length);
  }

  /** Logits [rows, vocab] of the given rows of the last forward pass. */
  head(rows: Int32Array): void {
    const { buffers, output, outputNorm, config } = this.#layout;
    const { lane } = this.#ops;
    const { hidden, expertInput, normed } = buffers;
    const rowBytes = hidden.columns * 4;
    const divided = lane.divides(rows.length * hidden.columns);
    const [start, end] = divided ? lane.share(rows.length) : [0, rows.length];
    for (let i = start; i < end; i++) {
      const from = hidden.offset + rows[i]! * rowBytes;
      lane.home.u8.copyWithin(expertInput.offset + i * rowBytes, from, from + rowBytes);
    }
    if (divided) lane.barrier();
    this.#ops.rmsNorm(expertInput, outputNorm, normed, rows.length, config.rmsEps);
    const sequences = this.#adapters ? Array.from(rows, (row) => this.#sequences[row]!) : [];
    this.#multiply(normed, everyToken(rows.length), [{ matrix: output, y: buffers.logits }], sequences);
  }

  /** y (+)= matrix × x and what adapters add. @param sequences of the rows of `x` */
  #multiply(
    x: Buffer,
    runs: readonly Run[],
    targets: readonly Target[],
    sequences: ArrayLike<number> = this.#sequences,
  ): void {
    const additions = this.#adapters?.additions(x, runs, targets, sequences);
    this.#ops.products.multiply(x, runs, targets, additions);
  }

  /** As `Products.multiplyGated`, with what adapters add to gate and up. */
  #multiplyGated(
    x: Buffer,
    runs: readonly Run[],
    gate: Target,
    up: Target,
    sequences: ArrayLike<number> = this.#sequences,
  ): void {
    const additions = this.#adapters?.additions(x, runs, [gate, up], sequences);
    this.#ops.products.multiplyGated(x, runs, gate, up, additions);
  }

  /** Calibration counts every position, while logits are computed for few. */
  #measureOutputInput(tokens: number): void {
    const { buffers, outputNorm, outputSquares, config } = this.#layout;
    if (!outputSquares) return;
    this.#ops.rmsNorm(buffers.hidden, outputNorm, buffers.normed, tokens, config.rmsEps);
    this.#ops.products.measure(buffers.normed, everyToken(tokens), outputSquares);
    this.#ops.lane.barrier();
  }

  #attention(layer: LayerLayout, index: number, positions: Int32Array, runs: readonly TokenRun[]): void {
    const { config, buffers } = this.#layout;
    const { normed, q, k, v, attended, hidden } = buffers;
    const ops = this.#ops;
    const tokens = positions.length;
    const all = everyToken(tokens);
    ops.rmsNorm(hidden, layer.attnNorm, normed, tokens, config.rmsEps);
    this.#multiply(normed, all, [
      { matrix: layer.q, y: q },
      { matrix: layer.k, y: k },
      { matrix: layer.v, y: v },
    ]);

    const rope = config.ropeLayers[index]!;
    const chunk = chunkOf(config, index);
    const [start, end] = ops.lane.share(tokens);
    for (let t = start; t < end; t++) {
      if (rope) this.#rotate(t);
      this.#scaleQuery(t, rope ? 1 : this.#temperature(positions[t]!));
    }
    // A chunked layer sees nothing of earlier chunks, so a chunk's positions reuse the same cache rows.
    const cached = chunk > 0 ? runs.map((run) => ({ ...run, past: run.past % chunk })) : runs;
    for (const { sequence, first, count, past } of cached) {
      const last = Math.min(end, first + count);
      for (let t = Math.max(start, first); t < last; t++) {
        ops.attention.store(layer.cache, k, v, t, sequence, past + t - first);
      }
    }
    ops.lane.barrier();

    ops.attention.attend(layer.cache, q, attended, cached);
    this.#multiply(attended, all, [{ matrix: layer.output, y: hidden, accumulate: true }]);
  }

  /** RoPE on one token's queries and keys, then their weightless norm where the model has it. */
  #rotate(token: number): void {
    const { config, buffers } = this.#layout;
    const { headDim, rmsEps } = config;
    const { kernels } = this.#ops.lane.home;
    const angles = rowOf(buffers.angles, token);
    for (const buffer of [buffers.q, buffers.k]) {
      const row = rowOf(buffer, token);
      const heads = buffer.columns / headDim;
      kernels.ropeInterleaved(row, angles, heads, headDim);
      if (!config.useQkNorm) continue;
      for (let head = 0; head < heads; head++) {
        const at = row + head * headDim * 4;
        kernels.rmsNorm(at, 0, at, headDim, rmsEps);
      }
    }
  }

  /** Folds the attention temperature and 1/√dim into one token's queries. */
  #scaleQuery(token: number, temperature: number): void {
    const { q } = this.#layout.buffers;
    const factor = temperature / Math.sqrt(this.#layout.config.headDim);
    this.#ops.lane.home.kernels.scale(rowOf(q, token), factor, q.columns);
  }

  #temperature(position: number): number {
    const { temperatureTuning, attnScale, floorScale } = this.#layout.config;
    if (!temperatureTuning) return 1;
    return 1 + attnScale * Math.log1p(Math.floor((position + 1) / floorScale));
  }

  #feedForward(layer: LayerLayout, index: number, tokens: number): void {
    const { config, buffers } = this.#layout;
    const { hidden, normed } = buffers;
    this.#ops.rmsNorm(hidden, layer.ffnNorm, normed, tokens, config.rmsEps);
    const { feedForward } = layer;
    if (feedForward.kind === 'dense') {
      this.#gated(normed, tokens, feedForward);
    } else {
      this.#routedExperts(feedForward, index, tokens);
      const { sharedGate: gate, sharedUp: up, sharedDown: down } = feedForward;
      this.#gated(normed, tokens, { gate, up, down });
    }
  }

  /** hidden += down(silu(gate(x)) × up(x)) */
  #gated(
    x: Buffer,
    tokens: number,
    { gate, up, down }: Pick<FeedForward & { kind: 'dense' }, 'gate' | 'up' | 'down'>,
  ) {
    const { buffers } = this.#layout;
    const inner = {
      offset: buffers.gate.offset,
      columns: gate.pieces.reduce((sum, { rows }) => sum + rows, 0),
    };
    const upper = { offset: buffers.up.offset, columns: inner.columns };
    const all = everyToken(tokens);
    this.#multiplyGated(x, all, { matrix: gate, y: inner }, { matrix: up, y: upper });
    this.#multiply(inner, all, [{ matrix: down, y: buffers.hidden, accumulate: true }]);
  }

  /** hidden += Σ over each token's experts of expert(score × x) */
  #routedExperts(experts: Experts, layer: number, tokens: number): void {
    const { config, buffers } = this.#layout;
    const { normed, routerLogits, expertInput, expertOutput, hidden } = buffers;
    const { expertCount, expertUsedCount } = config;
    const ops = this.#ops;
    const { lane } = ops;
    const { kernels, f32 } = lane.home;
    this.#multiply(normed, everyToken(tokens), [{ matrix: experts.router, y: routerLogits }]);

    // Every lane works the routing out for itself: it is a few comparisons per token, and saves a barrier.
    const firstLogit = routerLogits.offset / 4;
    const logits = f32.subarray(firstLogit, firstLogit + tokens * expertCount);
    const routing = routeTokens(logits, tokens, expertCount, expertUsedCount);
    const rows = routing.tokens.length;
    const divided = lane.divides(rows * normed.columns);
    const [start, end] = divided ? lane.share(rows) : [0, rows];
    for (let i = start; i < end; i++) {
      const from = rowOf(normed, routing.tokens[i]!);
      kernels.scaleInto(from, rowOf(expertInput, i), routing.scores[i]!, normed.columns);
    }
    if (divided) lane.barrier();

    const runs: Run[] = [];
    for (let expert = 0; expert < expertCount; expert++) {
      const first = routing.starts[expert]!;
      const count = routing.starts[expert + 1]! - first;
      if (count > 0) runs.push({ first, count, piece: expert, pieces: 1 });
    }
    // The rows of one token with one expert are already where they are to be added.
    const target = rows === 1 ? { y: hidden, accumulate: true } : { y: expertOutput };
    const sequences = this.#adapters ? Array.from(routing.tokens, (token) => this.#sequences[token]!) : [];
    if (this.#expertCache === undefined) {
      const { gateExperts: gate, upExperts: up, downExperts: down } = experts;
      this.#expertRound({ runs, gate, up, down }, target, sequences);
    } else {
      const ahead = this.#predictExperts(layer + 1, tokens);
      for (const round of this.#expertCache.rounds(layer, runs, ahead)) {
        this.#expertRound(round, target, sequences);
      }
    }
    if (rows === 1) return;

    // A token's rows are added by the lane that owns the token, in expert order, whatever the thread count.
    const [first, last] = lane.share(tokens);
    for (let i = 0; i < rows; i++) {
      const token = routing.tokens[i]!;
      if (token >= first && token < last)
        kernels.add(rowOf(expertOutput, i), rowOf(hidden, token), hidden.columns);
    }
    lane.barrier();
  }

  /** The target's y (+)= expert(expertInput) for the rows of each run */
  #expertRound(
    { runs, gate, up, down }: ExpertRound,
    target: Omit<Target, 'matrix'>,
    sequences: ArrayLike<number>,
  ): void {
    const { config, buffers } = this.#layout;
    const { expertInput } = buffers;
    const columns = config.expertFeedForwardLength;
    const inner = { offset: buffers.gate.offset, columns };
    const upper = { offset: buffers.up.offset, columns };
    this.#multiplyGated(expertInput, runs, { matrix: gate, y: inner }, { matrix: up, y: upper }, sequences);
    this.#multiply(inner, runs, [{ matrix: down, ...target }], sequences);
  }

  /**
   * The experts that the next layer with experts, from `from` on, will want for the current tokens, as far as its
   * router can tell from a hidden state that the layers between have yet to change. The most wanted come first.
   */
  #predictExperts(
    from: number,
    tokens: number,
  ): { readonly layer: number; readonly experts: readonly number[] } | undefined {
    const { config, layers, buffers, expertCache } = this.#layout;
    const layer = layers.findIndex(({ feedForward }, i) => i >= from && feedForward.kind === 'moe');
    const predictedLogits = expertCache?.predictedLogits;
    if (layer < 0 || predictedLogits === undefined) return undefined;
    const { ffnNorm, feedForward } = layers[layer]!;
    const router = { ...(feedForward as Experts).router, inputSquares: undefined };
    const { hidden, expertOutput } = buffers;
    // No expert has written its output yet.
    this.#ops.rmsNorm(hidden, ffnNorm, expertOutput, tokens, config.rmsEps);
    this.#ops.products.multiply(expertOutput, everyToken(tokens), [{ matrix: router, y: predictedLogits }]);
    const first = predictedLogits.offset / 4;
    const logits = this.#ops.lane.home.f32.subarray(first, first + tokens * config.expertCount);
    const { starts } = routeTokens(logits, tokens, config.expertCount, config.expertUsedCount);
    const wanted = (expert: number) => starts[expert + 1]! - starts[expert]!;
    const experts = Array.from({ length: config.expertCount }, (_, expert) => expert)
      .filter((expert) => wanted(expert) > 0)
      .sort((a, b) => wanted(b) - wanted(a) || a - b);
    return { layer, experts };
  }

  #prepareAngles(positions: Int32Array): void {
    const { angles } = this.#layout.buffers;
    const { lane } = this.#ops;
    const [start, end] = lane.share(positions.length);
    for (let t = start; t < end; t++) {
      const at = rowOf(angles, t) / 4;
      ropeAngles(this.#frequencies, positions[t]!, lane.home.f32.subarray(at, at + angles.columns));
    }
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
