/** How long to train: whole and partial epochs, or a number of steps whatever the epochs. */
export interface TrainingLength {
  readonly epochs: number;
  readonly maxSteps?: number;
  /** Batches whose gradients add up to one step. */
  readonly accumulation: number;
}

/** Where in the data a step begins. */
export interface DataPosition {
  /** From 0. */
  readonly epoch: number;
  /** Batches of that epoch before it. */
  readonly batch: number;
}

/** Batches of one epoch's steps: the last step of an epoch takes what is left. */
function stepsOf(batches: number, accumulation: number): number {
  return Math.ceil(batches / accumulation);
}

/**
 * Optimizer steps of a run. Packing fills batches anew for every epoch, so each may have another number of them; part of
 * an epoch is that part of its steps.
 * @param batches batches of an epoch (from 0), at least 1
 */
export function totalSteps(
  batches: (epoch: number) => number,
  { epochs, maxSteps, accumulation }: TrainingLength,
): number {
  if (maxSteps !== undefined) return maxSteps;
  let steps = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const share = Math.min(1, epochs - epoch);
    steps += Math.ceil(share * stepsOf(batches(epoch), accumulation) - 1e-9);
  }
  return steps;
}

/** Where the step after `position` begins. */
export function afterStep(
  position: DataPosition,
  batches: (epoch: number) => number,
  accumulation: number,
): DataPosition {
  const batch = position.batch + accumulation;
  return batch < batches(position.epoch)
    ? { epoch: position.epoch, batch }
    : { epoch: position.epoch + 1, batch: 0 };
}
