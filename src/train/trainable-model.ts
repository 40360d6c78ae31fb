import type { TensorSource } from '../formats/tensor-source.js';
import type {
  BatchLoss,
  OptimizerKind,
  OptimizerStep,
  ParameterInfo,
  StateTensor,
  Trainable,
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

/** Loads a model for training; `TrainingModel.open`, or a small model of tests. */
export type OpenTrainable = (
  source: TensorSource,
  options: {
    readonly trainable: Trainable;
    readonly threads?: number;
    /** Most tokens of a batch. */
    readonly maxTokens: number;
    readonly checkpointing?: boolean;
    readonly optimizer?: OptimizerKind;
    readonly auxiliaryCoefficient?: number;
    readonly seed: number;
    readonly onProgress?: (done: number, total: number) => void;
    readonly signal?: AbortSignal;
  },
) => Promise<TrainableModel & { close(): Promise<void> }>;
