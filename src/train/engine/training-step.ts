import { Llama4 } from '../../model/llama4.js';
import type { StepTokens } from '../../model/network-operations.js';
import type { TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import { Tape, type TrainingLane, type Value } from './tape.js';
import { TrainingOperations } from './training-operations.js';
import type { Dropout } from './training-products.js';

export interface StepInput extends StepTokens {
  readonly targets: Int32Array;
  /** f32 [T] factors of −log p. */
  readonly weights: Float32Array;
}

export interface StepOptions {
  /** Compute gradients, and add them to those of the parameters. */
  readonly backward: boolean;
  readonly adapters: boolean;
  readonly dropout?: Dropout | undefined;
  /** Factor of Σ weight · −log p in what is minimized. */
  readonly gradientScale: number;
  /** Factor of the routers' loss. */
  readonly routerScale: number;
}

/** A lane's part in forward and backward passes. */
export class TrainingStep {
  readonly tape: Tape;
  readonly #kernels: TrainKernels;
  readonly #layout: TrainingLayout;
  readonly #ops: TrainingOperations;
  readonly #network: Llama4;

  constructor(
    lane: TrainingLane,
    kernels: TrainKernels,
    layout: TrainingLayout,
    ropeDivisors: Float32Array | undefined,
    activationBytes: number,
  ) {
    this.tape = new Tape(lane, layout.places.activations, activationBytes);
    this.#kernels = kernels;
    this.#layout = layout;
    this.#ops = new TrainingOperations(this.tape, kernels, layout);
    this.#network = new Llama4(this.#ops, layout, ropeDivisors);
  }

  run(input: StepInput, options: StepOptions): void {
    const tape = this.tape;
    const { products, routing } = this.#ops;
    const layers = this.#layout.config.moeLayers.filter(Boolean).length;
    const tokens = input.ids.length;
    products.adapters = options.adapters;
    products.dropout = options.dropout;
    routing.lossFactor = layers === 0 ? 0 : options.routerScale / (layers * tokens);
    tape.reset();
    tape.recording = options.backward;
    this.#network.forward(input);
    const hidden = this.#ops.valueOf(this.#layout.buffers.hidden);
    const { carry } = this.#ops;
    if (options.backward && hidden.needs) {
      tape.zeroOwn(carry, hidden);
      hidden.gradient = tape.gradientAt(carry, hidden.rows, false);
    }
    this.#losses(input, options.gradientScale);
    if (options.backward) {
      if (hidden.gradient) hidden.gradient = { ...hidden.gradient, shared: true };
      tape.playBack(0);
      tape.runDeferred();
    }
  }

  /** The head, over some of the tokens at a time: their logits are all that exists, and go back at once. */
  #losses(input: StepInput, gradientScale: number): void {
    const tape = this.tape;
    const { targets } = input;
    const rows = Int32Array.from(targets.keys()).filter((t) => targets[t]! >= 0);
    for (let first = 0; first < rows.length; first += this.#layout.chunkRows) {
      const chunk = rows.subarray(first, first + this.#layout.chunkRows);
      const mark = tape.mark();
      const entries = tape.length;
      this.#network.head(chunk);
      this.#crossEntropy(this.#ops.valueOf(this.#layout.buffers.logits), chunk, input, gradientScale);
      tape.playBack(entries);
      tape.runDeferred();
      tape.release(mark);
    }
  }

  /** Logits become their gradients. */
  #crossEntropy(
    logits: Value,
    rows: Int32Array,
    { targets, weights }: StepInput,
    gradientScale: number,
  ): void {
    const tape = this.tape;
    const { f32 } = tape.lane.home;
    const { columns } = logits;
    const likelihoods = this.#layout.places.likelihoods / 4;
    tape.reads(logits, logits.rows);
    const [start, end] = tape.lane.share(rows.length);
    for (let i = start; i < end; i++) {
      const token = rows[i]!;
      const at = logits.address + i * columns * 4;
      const factor = gradientScale * weights[token]!;
      f32[likelihoods + token] = this.#kernels.crossEntropy(at, targets[token]!, factor, columns);
    }
    logits.gradient = tape.gradientAt(logits.address, logits.rows, false);
  }
}
