import type { TrainKernels } from '../kernels.js';
import type { Segment } from '../placed-parameters.js';
import { trainedRoom } from '../trained-room.js';
import { OPTIMIZER_BLOCK, type TrainingLayout } from '../training-layout.js';
import type { TrainingLane } from './tape.js';

/** What the main thread writes to `places.scalars`, and where it finds the norm. */
export const STEP_SCALARS = {
  learningRate: 0,
  beta1: 1,
  beta2: 2,
  epsilon: 3,
  weightDecay: 4,
  maxNorm: 5,
  /** From 1. */
  step: 6,
  norm: 7,
} as const;

/** Keeps a norm that is cut from dividing by 0; PyTorch's `clip_grad_norm_` has the same. */
const NORM_ROOM = 1e-6;

/** Elements `[first, first + count)` of a segment. */
interface Block {
  readonly segment: Segment;
  readonly first: number;
  readonly count: number;
}

/** A lane's part in clipping and AdamW. */
export class Optimizer {
  readonly #lane: TrainingLane;
  readonly #kernels: readonly TrainKernels[];
  readonly #layout: TrainingLayout;
  readonly #blocks: readonly Block[];

  /** @param kernels by arena */
  constructor(lane: TrainingLane, kernels: readonly TrainKernels[], layout: TrainingLayout) {
    this.#lane = lane;
    this.#kernels = kernels;
    this.#layout = layout;
    this.#blocks = layout.segments.flatMap((segment) => {
      const count = Math.ceil(segment.elements / OPTIMIZER_BLOCK);
      return Array.from({ length: count }, (_, i) => {
        const first = i * OPTIMIZER_BLOCK;
        return { segment, first, count: Math.min(OPTIMIZER_BLOCK, segment.elements - first) };
      });
    });
  }

  /** One step, unless the norm of the gradients is no number; gradients are 0 then. */
  update(): void {
    const { f64 } = this.#lane.home;
    const scalars = this.#layout.places.scalars / 8;
    const norm = this.#norm();
    const maxNorm = f64[scalars + STEP_SCALARS.maxNorm]!;
    const scale = maxNorm > 0 ? Math.min(1, maxNorm / (norm + NORM_ROOM)) : 1;
    const [start, end] = this.#lane.share(this.#blocks.length);
    for (const block of this.#blocks.slice(start, end)) {
      if (Number.isFinite(norm)) this.#step(block, scale);
      const { segment, first, count } = block;
      const at = segment.address + this.#room(segment).gradient + first * 4;
      this.#lane.arenas[segment.arena]!.u8.fill(0, at, at + count * 4);
    }
    if (this.#lane.rank === 0) f64[scalars + STEP_SCALARS.norm] = norm;
  }

  /** Of all gradients; every lane adds up the same blocks in the same order. */
  #norm(): number {
    const { f64 } = this.#lane.home;
    const squares = this.#layout.places.squares / 8;
    const [start, end] = this.#lane.share(this.#blocks.length);
    for (let i = start; i < end; i++) {
      const { segment, first, count } = this.#blocks[i]!;
      const at = segment.address + this.#room(segment).gradient + first * 4;
      f64[squares + i] = this.#kernels[segment.arena]!.sumOfSquares(at, count);
    }
    this.#lane.barrier();
    let sum = 0;
    for (let i = 0; i < this.#blocks.length; i++) sum += f64[squares + i]!;
    return Math.sqrt(sum);
  }

  #room({ elements }: Segment) {
    return trainedRoom(elements, this.#layout.optimizer);
  }

  #step({ segment, first, count }: Block, scale: number): void {
    const { f64 } = this.#lane.home;
    const scalar = (index: number) => f64[this.#layout.places.scalars / 8 + index]!;
    const beta1 = scalar(STEP_SCALARS.beta1);
    const beta2 = scalar(STEP_SCALARS.beta2);
    const step = scalar(STEP_SCALARS.step);
    const hyper = [
      scalar(STEP_SCALARS.learningRate),
      beta1,
      beta2,
      scalar(STEP_SCALARS.epsilon),
      segment.decays ? scalar(STEP_SCALARS.weightDecay) : 0,
      1 - beta1 ** step,
      1 - beta2 ** step,
      scale,
    ] as const;
    const { address, arena } = segment;
    const room = this.#room(segment);
    const kernels = this.#kernels[arena]!;
    const value = address + first * 4;
    const gradient = address + room.gradient + first * 4;
    if (this.#layout.optimizer === 'adamw') {
      const [m, v] = [address + room.m + first * 4, address + room.v + first * 4];
      kernels.adamw(value, gradient, m, v, count, ...hyper);
      return;
    }
    const { scratch } = this.#lane.arenas[arena]!;
    const scales = first / 64;
    kernels.adamw8bit(
      value,
      gradient,
      address + room.m + first,
      address + room.v + first,
      address + room.mScales + scales,
      address + room.vScales + scales,
      count,
      ...hyper,
      this.#layout.eightBitTables,
      scratch + this.#layout.scratch.kernels,
    );
  }
}
