// The program that the engine's workers run in training: one command is a batch forward and back, its likelihoods, or a
// step of the optimizer.
import type { CreateProgram } from '../../engine/lane.js';
import { instantiateTrainKernels, type TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import { KERNEL_SCRATCH_BYTES } from './lane-scratch.js';
import { Optimizer } from './optimizer.js';
import { TrainingStep } from './training-step.js';

export interface TrainingInit {
  readonly layout: TrainingLayout;
  readonly activationBytes: number;
  readonly ropeDivisors: Float32Array | undefined;
  /** Training kernels, and the arenas' memories for them. */
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  readonly seed: number;
}

export const TRAINING_COMMANDS = { accumulate: 0, likelihoods: 1, update: 2 } as const;

/** Words of a command. */
export const TRAINING_WORDS = { kind: 0, tokens: 1, adapters: 2, step: 3 } as const;
export const TRAINING_COMMAND_WORDS = 4;

/** Of `places.scalars`, for `accumulate`. */
export const LOSS_SCALARS = { gradientScale: 8, routerScale: 9 } as const;

export const createProgram: CreateProgram = (lane, init) => {
  const { layout, activationBytes, ropeDivisors, module, memories, seed } = init as TrainingInit;
  const kernels = memories.map((memory) => instantiateTrainKernels(module, memory));
  checkScratch(kernels[0]!);
  const step = new TrainingStep(lane, kernels[0]!, layout, ropeDivisors, activationBytes);
  const optimizer = new Optimizer(lane, kernels, layout);
  const { places, maxTokens } = layout;
  const { buffer } = lane.home.u8;
  const list = (index: number, tokens: number) =>
    new Int32Array(buffer, places.tokens + index * maxTokens * 4, tokens);
  return {
    step(command) {
      const kind = command[TRAINING_WORDS.kind]!;
      if (kind === TRAINING_COMMANDS.update) {
        optimizer.update();
        return;
      }
      const tokens = command[TRAINING_WORDS.tokens]!;
      const input = {
        ids: list(0, tokens),
        sequences: list(1, tokens),
        positions: list(2, tokens),
        targets: list(3, tokens),
        weights: new Float32Array(buffer, places.weights, tokens),
      };
      const scalar = (index: number) => lane.home.f64[places.scalars / 8 + index]!;
      const backward = kind === TRAINING_COMMANDS.accumulate;
      const dropped = backward && layout.dropout > 0;
      step.run(input, {
        backward,
        adapters: command[TRAINING_WORDS.adapters] !== 0,
        dropout: dropped
          ? { probability: layout.dropout, seed, step: command[TRAINING_WORDS.step]! }
          : undefined,
        gradientScale: scalar(LOSS_SCALARS.gradientScale),
        routerScale: scalar(LOSS_SCALARS.routerScale),
      });
    },
  };
};

function checkScratch(kernels: TrainKernels): void {
  const needed = Math.max(kernels.productScratchBytes(), kernels.attentionScratchBytes());
  if (needed > KERNEL_SCRATCH_BYTES) throw new Error(`the training kernels need ${needed} bytes of scratch`);
}
