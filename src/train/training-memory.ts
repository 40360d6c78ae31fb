import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { processBytes } from './process-memory.js';
import { planTraining, type TrainingPlan, type TrainingPlanOptions } from './training-layout.js';
import type { TrainingMemory } from './types.js';

export interface PlannedTraining {
  readonly memory: TrainingMemory;
  /** Of the whole process. */
  readonly bytes: number;
  /** Whether all activations have room in the one WebAssembly memory, of at most 4 GiB, that they have to be in. */
  readonly addressable: boolean;
}

/** What planning throws where something does not fit one WebAssembly memory. */
const TOO_LARGE: readonly string[] = ['arena-block-too-large', 'batch-too-large'];

/** Memory that a process needs to train a model. Pure. Throws as `planTraining`. */
export function trainingMemory(
  config: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  options: TrainingPlanOptions,
): PlannedTraining {
  try {
    return describe(planTraining(config, tensors, options), options.threads, true);
  } catch (error) {
    if (!(error instanceof CriaError) || !TOO_LARGE.includes(error.code)) throw error;
    const larger = { ...options, arenaLimit: Number.MAX_SAFE_INTEGER };
    return describe(planTraining(config, tensors, larger), options.threads, false);
  }
}

function describe({ memory }: TrainingPlan, threads: number, addressable: boolean): PlannedTraining {
  const bytes = Object.values(memory).reduce((sum, part) => sum + part, processBytes(threads));
  return { memory, bytes, addressable };
}
