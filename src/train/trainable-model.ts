import type {
  BatchLoss,
  OptimizerStep,
  ParameterInfo,
  StateTensor,
  TrainingBatch,
  TrainingMemory,
} from './types.js';

/** What the trainer needs of a model; `TrainingModel` is one. */
export interface TrainableModel {
  readonly parameters: readonly ParameterInfo[];
  readonly memory: TrainingMemory;
  /** Adds the gradient of gradientScale · Σ weight · −log p (and of the auxiliary loss) to what is there. */
  accumulate(batch: TrainingBatch, gradientScale: number, step: number): Promise<BatchLoss>;
  /** −log p of each target, 0 where there is none; of the base alone without adapters. */
  likelihoods(batch: TrainingBatch, options: { readonly adapters: boolean }): Promise<Float32Array>;
  /** A norm that is not finite changes nothing (`applied` false). */
  update(step: OptimizerStep): Promise<{ readonly norm: number; readonly applied: boolean }>;
  read(name: string, what: 'value' | 'gradient'): Promise<Float32Array>;
  write(name: string, values: Float32Array): Promise<void>;
  optimizerState(): Promise<StateTensor[]>;
  restoreOptimizer(tensors: readonly StateTensor[]): Promise<void>;
}
