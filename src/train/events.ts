/** What a training run is, told once before its first step. */
export interface TrainingStart {
  /** Path of the model. */
  readonly model: string;
  /** Folder that the results go to. */
  readonly output: string;
  readonly method: 'sft' | 'dpo';
  /** Only adapters train, or every weight. */
  readonly tuning: 'lora' | 'full';
  /** The options that decide the result, by their names on the command line, as values of JSON. */
  readonly options: Readonly<Record<string, string | number | boolean | readonly string[] | null>>;
  /** Optimizer steps of the whole run. */
  readonly totalSteps: number;
  /** Steps done by the run that this one resumes; 0 for a new one. */
  readonly firstStep: number;
  readonly epochs: number;
  /** Rows or windows of one epoch, after packing. */
  readonly examples: number;
  readonly evaluationExamples: number;
  /** Tokens of one epoch, those without a loss included. */
  readonly tokens: number;
  readonly trainableParameters: number;
  /** Predicted bytes. */
  readonly memory: TrainingMemory;
  readonly threads: number;
  /** ISO 8601. */
  readonly time: string;
}

export interface TrainingMemory {
  readonly weights: number;
  readonly parameters: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
}

/** One optimizer step. */
export interface TrainingStep {
  /** From 1. */
  readonly step: number;
  /** Epochs done, with the part of the current one. */
  readonly epoch: number;
  /** Mean over the step's tokens that have a target; for DPO over its pairs. */
  readonly loss: number;
  /** Router auxiliary loss before its coefficient. */
  readonly auxiliaryLoss?: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Tokens that went through the model in this step. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Since the run started or resumed. */
  readonly seconds: number;
  /** Predicted seconds to the end. */
  readonly remaining: number;
  /** Bytes of memory that the process holds. */
  readonly rss: number;
  readonly preference?: PreferenceFigures;
}

/** DPO: how the rewards β (log p − log p of the reference) of chosen and rejected answers differ. */
export interface PreferenceFigures {
  /** Mean reward of the chosen answers minus that of the rejected ones. */
  readonly margin: number;
  /** Share of pairs whose chosen answer has the higher reward. */
  readonly accuracy: number;
  readonly chosenReward: number;
  readonly rejectedReward: number;
}

export interface TrainingEvaluation {
  readonly step: number;
  readonly loss: number;
  /** Whether it is the lowest so far. */
  readonly best: boolean;
  readonly preference?: PreferenceFigures;
}

export interface TrainingCheckpoint {
  readonly step: number;
  readonly path: string;
}

/**
 * `finished`: all steps done. `early-stop`: the evaluation loss stopped falling. `interrupted`: the user asked to
 * stop, and `--resume` goes on. `not-finite`: a loss or gradient was no number. `failed`: any other error.
 */
export type EndReason = 'finished' | 'early-stop' | 'interrupted' | 'not-finite' | 'failed';

export interface TrainingEnd {
  readonly reason: EndReason;
  /** Steps done. */
  readonly step: number;
  /** Since the run started or resumed. */
  readonly seconds: number;
  /** What was written: folders and files. */
  readonly outputs: readonly string[];
  readonly message?: string;
}

export type TrainingEvent =
  | ({ readonly event: 'start' } & TrainingStart)
  | ({ readonly event: 'step' } & TrainingStep)
  | ({ readonly event: 'evaluation' } & TrainingEvaluation)
  | ({ readonly event: 'checkpoint' } & TrainingCheckpoint)
  | { readonly event: 'warning'; readonly message: string }
  | ({ readonly event: 'end' } & TrainingEnd);

/**
 * Told of everything that happens, in order. The terminal, the log (`train-log.jsonl`, one event a line), the live page
 * and the report all listen to it, so each shows the same figures. It must not throw and should return at once.
 */
export type TrainingObserver = (event: TrainingEvent) => void;
