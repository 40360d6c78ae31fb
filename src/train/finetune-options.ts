import { CriaError } from '../base/errors.js';
import type { Tokenizer } from '../model/tokenizer/index.js';
import type { DataMethod, OverlongRows, PictureEncoder, TextUnit } from './data/types.js';
import type { TrainingObserver } from './events.js';
import type { ScheduleType } from './schedule.js';
import { ALL_LINEAR, EXPERT_PARAMETERS, type TargetOptions } from './target-modules.js';
import type { OptimizerKind } from './types.js';

/** Makes an encoder of pictures for a text model. */
export type OpenPictures = (model: {
  readonly tokenizer: Tokenizer;
  readonly embeddingLength: number;
  readonly threads: number;
}) => PictureEncoder & { close(): Promise<void> };

/** What `finetune` does. Names and meanings are those of PEFT, TRL and transformers where they have them. */
export interface FinetuneOptions {
  /** A GGUF file of any type, or a checkpoint folder. */
  readonly model: string;
  /** Folder for the adapter, or the checkpoint, with the log and the checkpoints of the run. */
  readonly output: string;
  /** Files of rows: JSONL, Parquet, plain text. */
  readonly data: readonly string[];
  readonly evalData?: readonly string[];
  /** Share of the rows of `data` to evaluate on; default 0. */
  readonly evalSplit?: number;
  /** Default `sft`. */
  readonly method?: DataMethod;
  /** DPO: how dearly leaving the reference is paid for; default 0.1. */
  readonly beta?: number;

  /** Train every weight instead of adapters; default false. */
  readonly full?: boolean;
  /** With `full`: forget the weights and start from random ones; default false. */
  readonly fromScratch?: boolean;
  /** Default 16. */
  readonly rank?: number;
  /** Default twice the rank. */
  readonly alpha?: number;
  /** Default 0. */
  readonly dropout?: number;
  readonly rsLora?: boolean;
  /** See `TargetOptions.modules`; default all linear layers but routers and the output. */
  readonly targetModules?: readonly string[];
  /** See `TargetOptions.parameters`; default none. */
  readonly targetParameters?: readonly string[];
  /** Both parameters of the routed experts. */
  readonly experts?: boolean;
  readonly trainRouter?: boolean;

  /** Default 3. */
  readonly epochs?: number;
  /** Ends the run whatever the epochs. */
  readonly maxSteps?: number;
  /** Default 2e-4 for adapters, 2e-5 for every weight, 1e-3 from scratch; for DPO a tenth of that. */
  readonly learningRate?: number;
  /** Default `cosine`. */
  readonly schedule?: ScheduleType;
  readonly warmupSteps?: number;
  /** Default 0.03. */
  readonly warmupRatio?: number;
  readonly optimizer?: OptimizerKind;
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Default 1; 0 switches clipping off. */
  readonly maxGradNorm?: number;
  /** Rows of one pass through the model; default 4. */
  readonly batchSize?: number;
  /** Passes whose gradients make a step; default 1. */
  readonly gradientAccumulationSteps?: number;
  readonly gradientCheckpointing?: boolean;
  /** Most tokens of a row; default 1024. */
  readonly contextSize?: number;
  /** Fill passes with as many rows as there is room for: batch size × context. */
  readonly packing?: boolean;
  /** Default true for chats and completions. */
  readonly responsesOnly?: boolean;
  /** Lay prompt and completion out as a chat. */
  readonly promptsAsChat?: boolean;
  /** Rows with more tokens than the context; default `refuse`. */
  readonly overlong?: OverlongRows;
  /** Where documents of plain text end; default `file`. */
  readonly textUnit?: TextUnit;
  /** Unusable rows that are left out before the data are refused; default 100. */
  readonly maxBadRows?: number;
  /** Default: the model's with `trainRouter` or `full`, otherwise 0 (nothing could follow it). */
  readonly routerAuxLossCoef?: number;

  /** Steps between evaluations; default: ten in a run. */
  readonly evalSteps?: number;
  /** Evaluations without a lower loss after which the run ends, with the best state; default: never. */
  readonly earlyStoppingPatience?: number;
  /** Steps between checkpoints; default 100. */
  readonly saveSteps?: number;
  /** Checkpoints that are kept; default 2. */
  readonly saveTotalLimit?: number;
  /** Default 1. */
  readonly loggingSteps?: number;
  /** Default 42, transformers'. */
  readonly seed?: number;
  /** Threads; default: one per core. Results do not depend on it. */
  readonly threads?: number;
  /** Go on from the newest checkpoint in `output`, where there is one. */
  readonly resume?: boolean;

  /** Opens what encodes the pictures in the data; rows with pictures are refused without. */
  readonly pictures?: OpenPictures;
  readonly observe?: TrainingObserver;
  /** Told how far reading the data and loading the model are. */
  readonly onProgress?: (what: 'data' | 'model', done: number, total: number) => void;
  /** Saves and ends the run with `cancelled`. */
  readonly signal?: AbortSignal;
}

type Hooks = 'pictures' | 'observe' | 'onProgress' | 'signal';
type Optional =
  | 'evalData'
  | 'maxSteps'
  | 'warmupSteps'
  | 'evalSteps'
  | 'earlyStoppingPatience'
  | 'routerAuxLossCoef'
  | 'threads';

/** Every option with its value. */
export type ResolvedOptions = Required<Omit<FinetuneOptions, Hooks | Optional | 'experts'>> &
  Pick<FinetuneOptions, Optional>;

/** Fills in what was left open. Throws `conflicting-options` (usage) for what excludes each other. */
export function resolveOptions(options: FinetuneOptions): ResolvedOptions {
  const { method = 'sft', full = false, fromScratch = false, rank = 16, dropout = 0 } = options;
  const usual = fromScratch ? 1e-3 : full ? 2e-5 : 2e-4;
  const targetParameters = [
    ...(options.targetParameters ?? []),
    ...(options.experts ? EXPERT_PARAMETERS : []),
  ];
  const nothingNamed = !options.trainRouter && targetParameters.length === 0;
  refuse(fromScratch && !full, '--from-scratch needs --full: nothing would train the random weights');
  const adapterOption = (['alpha', 'dropout', 'rsLora', 'targetModules', 'trainRouter'] as const).find(
    (key) => options[key] !== undefined && options[key] !== false,
  );
  refuse(
    full && (adapterOption !== undefined || targetParameters.length > 0),
    '--full trains every weight, found options of adapters beside it',
  );
  // The reference has to be what the adapters start from; TRL switches dropout off for DPO for the same reason.
  refuse(method === 'dpo' && dropout > 0, '--method dpo compares likelihoods, expected --lora-dropout 0');
  refuse(
    dropout > 0 && targetParameters.length > 0,
    "adapters of routed experts have no dropout (PEFT's neither), expected --lora-dropout 0",
  );
  refuse(
    options.earlyStoppingPatience !== undefined && !options.evalData?.length && !options.evalSplit,
    '--early-stopping-patience needs rows to evaluate on: expected --eval-split or --eval-data',
  );
  refuse(
    Boolean(options.evalData?.length && options.evalSplit),
    'expected one of --eval-data and --eval-split, found both',
  );
  return {
    model: options.model,
    output: options.output,
    data: options.data,
    evalData: options.evalData,
    evalSplit: options.evalSplit ?? 0,
    method,
    beta: options.beta ?? 0.1,
    full,
    fromScratch,
    rank,
    alpha: options.alpha ?? 2 * rank,
    dropout,
    rsLora: options.rsLora ?? false,
    targetModules: options.targetModules ?? (nothingNamed || options.experts ? [ALL_LINEAR] : []),
    targetParameters,
    trainRouter: options.trainRouter ?? false,
    epochs: options.epochs ?? 3,
    maxSteps: options.maxSteps,
    learningRate: options.learningRate ?? (method === 'dpo' ? usual / 10 : usual),
    schedule: options.schedule ?? 'cosine',
    warmupSteps: options.warmupSteps,
    warmupRatio: options.warmupRatio ?? 0.03,
    optimizer: options.optimizer ?? 'adamw',
    beta1: options.beta1 ?? 0.9,
    beta2: options.beta2 ?? 0.999,
    epsilon: options.epsilon ?? 1e-8,
    weightDecay: options.weightDecay ?? 0,
    maxGradNorm: options.maxGradNorm ?? 1,
    batchSize: options.batchSize ?? 4,
    gradientAccumulationSteps: options.gradientAccumulationSteps ?? 1,
    gradientCheckpointing: options.gradientCheckpointing ?? false,
    contextSize: options.contextSize ?? 1024,
    packing: options.packing ?? false,
    responsesOnly: options.responsesOnly ?? true,
    promptsAsChat: options.promptsAsChat ?? false,
    overlong: options.overlong ?? 'refuse',
    textUnit: options.textUnit ?? 'file',
    maxBadRows: options.maxBadRows ?? 100,
    routerAuxLossCoef: options.routerAuxLossCoef,
    evalSteps: options.evalSteps,
    earlyStoppingPatience: options.earlyStoppingPatience,
    saveSteps: options.saveSteps ?? 100,
    saveTotalLimit: options.saveTotalLimit ?? 2,
    loggingSteps: options.loggingSteps ?? 1,
    seed: options.seed ?? 42,
    threads: options.threads,
    resume: options.resume ?? false,
  };
}

function refuse(wrong: boolean, message: string): void {
  if (wrong) throw new CriaError('usage', 'conflicting-options', message);
}

/** Which weights get adapters. */
export function loraTargets(options: ResolvedOptions): TargetOptions {
  const { targetModules: modules, targetParameters, trainRouter: router, rank, alpha, rsLora } = options;
  return { modules, parameters: targetParameters, router, rank, alpha, rsLora };
}

export type RecordedOptions = Readonly<Record<string, string | number | boolean | readonly string[] | null>>;

/** The options that decide the result, by their names on the command line. */
export function recordOptions(options: ResolvedOptions): RecordedOptions {
  const adapters = {
    'lora-r': options.rank,
    'lora-alpha': options.alpha,
    'lora-dropout': options.dropout,
    'use-rslora': options.rsLora,
    'target-modules': options.targetModules,
    'target-parameters': options.targetParameters,
    'train-router': options.trainRouter,
  };
  return {
    method: options.method,
    ...(options.method === 'dpo' ? { beta: options.beta } : {}),
    full: options.full,
    ...(options.full ? { 'from-scratch': options.fromScratch } : adapters),
    epochs: options.epochs,
    'max-steps': options.maxSteps ?? null,
    'learning-rate': options.learningRate,
    'lr-scheduler-type': options.schedule,
    'warmup-steps': options.warmupSteps ?? null,
    'warmup-ratio': options.warmupRatio,
    optim: options.optimizer,
    'adam-beta1': options.beta1,
    'adam-beta2': options.beta2,
    'adam-epsilon': options.epsilon,
    'weight-decay': options.weightDecay,
    'max-grad-norm': options.maxGradNorm,
    'batch-size': options.batchSize,
    'gradient-accumulation-steps': options.gradientAccumulationSteps,
    'ctx-size': options.contextSize,
    packing: options.packing,
    'train-on-responses-only': options.responsesOnly,
    'prompts-as-chat': options.promptsAsChat,
    overlong: options.overlong,
    'text-unit': options.textUnit,
    'eval-split': options.evalSplit,
    'router-aux-loss-coef': options.routerAuxLossCoef ?? null,
    'early-stopping-patience': options.earlyStoppingPatience ?? null,
    'eval-steps': options.evalSteps ?? null,
    seed: options.seed,
  };
}
