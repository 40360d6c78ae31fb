import type { FinetuneOptions } from './finetune-options.js';
import { type FinetuneResult, runFinetuning } from './run-finetuning.js';
import { TrainingModel } from './training-model.js';

/**
 * Trains adapters, or all weights, of a model, and writes them into `output`: a PEFT adapter and `adapter.gguf`, or a
 * checkpoint folder; beside them the log, a report and the checkpoints of the run. Results depend on the model, the
 * data, the options and the seed alone; a run that was stopped or killed and goes on with `resume` ends in the same
 * bytes as one that was not.
 *
 * Throws `conflicting-options`, `unknown-module`, `folder-not-empty`, `resume-mismatch`, `loss-not-finite` (usage),
 * `disk-full`, `cancelled` (a checkpoint was written), and what `openModel`, `openTrainingData` and
 * `TrainingModel.open` throw.
 */
export function finetune(options: FinetuneOptions): Promise<FinetuneResult> {
  return runFinetuning(options, (source, how) => TrainingModel.open(source, how));
}
