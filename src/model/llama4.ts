import type { Buffer } from '../engine/buffers.js';
import { everyToken, type Run, type Target } from '../engine/products.js';
import type { FeedForward, NetworkLayer, NetworkLayout } from './network-layout.js';
import type { ExpertRound, NetworkOperations, Rows, StepTokens } from './network-operations.js';
import { ropeFrequencies } from './rope.js';
import type { Routing } from './routing.js';

type Gated = Pick<FeedForward & { kind: 'dense' }, 'gate' | 'up' | 'down'>;
type Experts = Extract<FeedForward, { kind: 'moe' }>;

/**
 * The Llama 4 text network, for inference and training alike: what it is, in terms of operations that say how.
 * Shapes in comments are row-major, T = tokens of the step.
 */
export class Llama4 {
  readonly #ops: NetworkOperations;
  readonly #layout: NetworkLayout;
  readonly #frequencies: Float32Array;

  /** @param ropeDivisors `rope_freqs.weight`, [headDim / 2], where frequencies are scaled */
  constructor(ops: NetworkOperations, layout: NetworkLayout, ropeDivisors?: Float32Array) {
    this.#ops = ops;
    this.#layout = layout;
    const { ropeTheta, headDim } = layout.config;
    this.#frequencies = ropeFrequencies(ropeTheta, headDim, ropeDivisors);
  }

  /** Runs a step's tokens, each run within one attention chunk, and leaves the hidden state [T, width]. */
  forward(step: StepTokens): void {
    const { layers, buffers, tokenEmbedding } = this.#layout;
    const { ids, positions } = step;
    const ops = this.#ops;
    ops.begin(step);
    ops.prepareAngles(this.#frequencies, positions, buffers.angles);
    ops.embed(tokenEmbedding, ids, buffers.hidden);
    for (const [index, layer] of layers.entries()) {
      ops.layer(index, buffers.hidden, () => {
        this.#attention(layer, index, positions);
        this.#feedForward(layer, index, ids.length);
      });
    }
    ops.end(buffers.hidden);
  }

  /** Logits [rows, vocab] of the given rows of the last forward pass. */
  head(rows: Int32Array): void {
    const { buffers, output, outputNorm } = this.#layout;
    const { hidden, expertInput, normed, logits } = buffers;
    const ops = this.#ops;
    ops.pick(hidden, rows, expertInput);
    ops.rmsNorm(expertInput, outputNorm, normed, rows.length);
    ops.multiply(normed, { ...everyRow(rows.length), tokens: rows }, [{ matrix: output, y: logits }]);
  }

  #attention(layer: NetworkLayer, index: number, positions: Int32Array): void {
    const { config, buffers } = this.#layout;
    const { normed, q, k, v, attended, hidden, angles } = buffers;
    const ops = this.#ops;
    const tokens = positions.length;
    const all = everyRow(tokens);
    ops.rmsNorm(hidden, layer.attnNorm, normed, tokens);
    ops.multiply(normed, all, [
      { matrix: layer.q, y: q },
      { matrix: layer.k, y: k },
      { matrix: layer.v, y: v },
    ]);
    const rope = config.ropeLayers[index]!;
    if (rope) {
      for (const x of [q, k]) {
        ops.rotate(x, angles, tokens);
        if (config.useQkNorm) ops.normHeads(x, tokens);
      }
    }
    const scale = Math.sqrt(config.headDim);
    ops.scaleRows(q, tokens, (t) => (rope ? 1 : this.#temperature(positions[t]!)) / scale);
    ops.attend(index, q, k, v, attended);
    ops.multiply(attended, all, [{ matrix: layer.output, y: hidden, accumulate: true }]);
  }

  #temperature(position: number): number {
    const { temperatureTuning, attnScale, floorScale } = this.#layout.config;
    if (!temperatureTuning) return 1;
    return 1 + attnScale * Math.log1p(Math.floor((position + 1) / floorScale));
  }

  #feedForward(layer: NetworkLayer, index: number, tokens: number): void {
    const { hidden, normed } = this.#layout.buffers;
    this.#ops.rmsNorm(hidden, layer.ffnNorm, normed, tokens);
    const { feedForward } = layer;
    if (feedForward.kind === 'dense') {
      this.#gated(normed, everyRow(tokens), feedForward, { y: hidden, accumulate: true });
    } else {
      this.#routedExperts(feedForward, layer, index, tokens);
      const { sharedGate: gate, sharedUp: up, sharedDown: down } = feedForward;
      this.#gated(normed, everyRow(tokens), { gate, up, down }, { y: hidden, accumulate: true });
    }
  }

  /** The target's y (+)= down(silu(gate(x)) × up(x)) */
  #gated(x: Buffer, rows: Rows, { gate, up, down }: Gated, target: Omit<Target, 'matrix'>): void {
    const { buffers } = this.#layout;
    const inner = { offset: buffers.gate.offset, columns: down.columns };
    const upper = { offset: buffers.up.offset, columns: down.columns };
    this.#ops.multiplyGated(x, rows, { matrix: gate, y: inner }, { matrix: up, y: upper });
    this.#ops.multiply(inner, rows, [{ matrix: down, ...target }]);
  }

  /** hidden += Σ over each token's experts of expert(score × x) */
  #routedExperts(experts: Experts, layer: NetworkLayer, index: number, tokens: number): void {
    const { normed, routerLogits, expertInput, expertOutput, hidden } = this.#layout.buffers;
    const ops = this.#ops;
    ops.multiply(normed, everyRow(tokens), [{ matrix: experts.router, y: routerLogits }]);
    const routing = ops.route(routerLogits, tokens);
    ops.gather(normed, routing, expertInput);
    const rows = routing.tokens.length;
    // The rows of one token with one expert are already where they are to be added.
    const target = rows === 1 ? { y: hidden, accumulate: true } : { y: expertOutput };
    for (const round of ops.experts(index, layer, runsOf(routing))) {
      const { runs, ...matrices }: ExpertRound = round;
      this.#gated(expertInput, { count: rows, runs, tokens: routing.tokens }, matrices, target);
    }
    if (rows > 1) ops.scatter(expertOutput, routing, hidden);
  }
}

function everyRow(count: number): Rows {
  return { count, runs: everyToken(count) };
}

/** The rows of each expert that has any. */
function runsOf({ starts }: Routing): Run[] {
  const runs: Run[] = [];
  for (let expert = 0; expert < starts.length - 1; expert++) {
    const first = starts[expert]!;
    const count = starts[expert + 1]! - first;
    if (count > 0) runs.push({ first, count, piece: expert, pieces: 1 });
  }
  return runs;
}
