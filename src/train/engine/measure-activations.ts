import type { TrainKernels } from '../kernels.js';
import type { TrainingLayout } from '../training-layout.js';
import type { TrainingLane } from './tape.js';
import { TrainingStep } from './training-step.js';

/** A lane that has no share of anything: what it runs computes nothing and touches no memory. */
function idleLane(): TrainingLane {
  const home = {
    kernels: {} as TrainingLane['home']['kernels'],
    u8: new Uint8Array(0),
    f32: new Float32Array(0),
    f64: new Float64Array(0),
    scratch: 0,
  };
  return { rank: -1, size: 1, arenas: [home], home, barrier: () => {}, share: () => [0, 0] };
}

/** Most bytes of values and gradients at once, found by taking the steps of a full batch without computing. Pure. */
export function measureActivations(layout: TrainingLayout): number {
  const tokens = layout.maxTokens;
  const step = new TrainingStep(idleLane(), {} as TrainKernels, layout, undefined, Number.POSITIVE_INFINITY);
  const input = {
    ids: new Int32Array(tokens),
    sequences: new Int32Array(tokens),
    positions: Int32Array.from({ length: tokens }, (_, t) => t),
    targets: new Int32Array(tokens),
    weights: new Float32Array(tokens),
  };
  const dropout = { probability: layout.dropout, seed: 0, step: 0 };
  step.run(input, {
    backward: true,
    adapters: true,
    dropout: layout.dropout > 0 ? dropout : undefined,
    gradientScale: 0,
    routerScale: 1,
  });
  return step.tape.highest;
}
