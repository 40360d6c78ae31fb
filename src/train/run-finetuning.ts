import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { computeThreads } from '../base/processors.js';
import { chatFormat } from '../chat/index.js';
import { configFromMetadata } from '../convert/llama4-config.js';
import { normChecksum } from '../convert/lora/check-adapter.js';
import { openModel } from '../convert/open-model.js';
import { checkEmptyFolder } from '../convert/output-checks.js';
import { sampledFingerprint } from '../formats/fingerprint.js';
import { elementCount, type TensorSource } from '../formats/tensor-source.js';
import { tokenizerFromGguf } from '../model/tokenizer/index.js';
import {
  type Checkpoint,
  listCheckpoints,
  pruneCheckpoints,
  type RunIdentity,
  readState,
  removePartial,
  restoreTensors,
  saveCheckpoint,
} from './checkpoint.js';
import { openTrainingData, type TrainingData } from './data/index.js';
import type { EndReason, TrainingEvent } from './events.js';
import {
  type FinetuneOptions,
  loraTargets,
  type ResolvedOptions,
  recordOptions,
  resolveOptions,
} from './finetune-options.js';
import { randomSource } from './random-source.js';
import { ReferenceSums } from './reference-sums.js';
import { TrainingHistory } from './report/training-history.js';
import { writeTrainingReport } from './report/training-report.js';
import type { Schedule } from './schedule.js';
import { warmupSteps } from './schedule.js';
import { totalSteps } from './step-plan.js';
import { loraParameters } from './target-modules.js';
import type { OpenTrainable, TrainableModel } from './trainable-model.js';
import { trainedAdapter } from './trained-adapter.js';
import { trainedSource } from './trained-source.js';
import { type TrainerState, train } from './trainer.js';
import { LOG_NAME, TrainingLog } from './training-log.js';
import type { LoraParameter, Trainable } from './types.js';
import { writeAdapterResults, writeModelResults } from './write-results.js';

export interface FinetuneResult {
  readonly reason: Extract<EndReason, 'finished' | 'early-stop'>;
  /** Steps done; with early stopping, `bestStep` is the one that was written. */
  readonly step: number;
  readonly bestStep?: number;
  /** Lowest loss of the evaluations. */
  readonly evaluationLoss?: number;
  /** Files written. */
  readonly outputs: readonly string[];
}

export const REPORT_NAME = 'training-report.html';
/** transformers' `router_aux_loss_coef` of Llama 4. */
const AUXILIARY_COEFFICIENT = 0.001;
const EVALUATIONS = 10;
const WARNED_ROWS = 5;

/** `finetune`, with what loads the model. */
export async function runFinetuning(given: FinetuneOptions, open: OpenTrainable): Promise<FinetuneResult> {
  const options = resolveOptions(given);
  const opened = await openModel(options.model);
  const source = options.fromScratch ? randomSource(opened, options.seed) : opened;
  const closing: (() => Promise<void>)[] = [() => opened.close()];
  let isNew = false;
  try {
    const parameters = options.full ? [] : loraParameters(source.tensors.values(), loraTargets(options));
    isNew = (await makeFolder(options.output)) !== undefined;
    const checkpoints = await prepareFolder(options);
    const data = await openData(given, options, source, closing);
    return await new Finetuning(given, options, source, parameters, data, checkpoints).run(open);
  } catch (error) {
    // It goes only while it is empty: a run that has begun keeps its log.
    if (isNew) await rmdir(options.output).catch(() => {});
    throw error;
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** Makes a folder where there is none; undefined where there was one. */
async function makeFolder(path: string): Promise<string | undefined> {
  return mkdir(path, { recursive: true }).catch((error) => {
    throw fileError(error, 'write', path);
  });
}

/** Finds what a run in this folder has to go on from. Throws `folder-not-empty`. */
async function prepareFolder({ output, resume }: ResolvedOptions): Promise<Checkpoint[]> {
  if (!resume) {
    await checkEmptyFolder(output).catch((error) => {
      if (!(error instanceof CriaError) || error.code !== 'folder-not-empty') throw error;
      throw new CriaError(error.kind, error.code, `${error.message} (--resume goes on with a run)`);
    });
  }
  await removePartial(output);
  return listCheckpoints(output);
}

async function openData(
  { pictures: openPictures, onProgress, signal }: FinetuneOptions,
  options: ResolvedOptions,
  source: TensorSource,
  closing: (() => Promise<void>)[],
): Promise<TrainingData> {
  const { contextSize, batchSize } = options;
  const { embeddingLength } = configFromMetadata(source.metadata, source.tensors, source.path);
  const tokenizer = tokenizerFromGguf(source.metadata);
  const template = source.metadata.get('tokenizer.chat_template');
  const chatTemplate = template?.type === 'string' ? template.value : undefined;
  const threads = options.threads ?? computeThreads();
  const pictures = openPictures?.({ tokenizer, embeddingLength, threads });
  if (pictures) closing.push(() => pictures.close());
  const data = await openTrainingData({
    files: options.data,
    validationFiles: options.evalData,
    validationRatio: options.evalSplit,
    splitSeed: options.seed,
    method: options.method,
    tokenizer,
    chatFormat: chatFormat({ tokenizer, chatTemplate, metadata: source.metadata }),
    pictures,
    contextSize,
    maxTokens: mostTokens(options),
    maxExamples: options.packing ? undefined : batchSize,
    responsesOnly: options.responsesOnly,
    promptsAsChat: options.promptsAsChat,
    overlong: options.overlong,
    textUnit: options.textUnit,
    maxBadRows: options.maxBadRows,
    scratchFolder: options.output,
    onProgress: (done, total) => onProgress?.('data', done, total),
    signal,
  });
  closing.push(() => data.close());
  return data;
}

/** Of one pass through the model. */
function mostTokens({ contextSize, batchSize, method }: ResolvedOptions): number {
  return contextSize * batchSize * (method === 'dpo' ? 2 : 1);
}

class Finetuning {
  readonly #given: FinetuneOptions;
  readonly #options: ResolvedOptions;
  readonly #source: TensorSource;
  readonly #parameters: readonly LoraParameter[];
  readonly #data: TrainingData;
  readonly #checkpoints: readonly Checkpoint[];
  readonly #schedule: Schedule;
  readonly #started = performance.now();
  #log: TrainingLog | undefined;
  #state: TrainerState = { step: 0, position: { epoch: 0, batch: 0 } };

  constructor(
    given: FinetuneOptions,
    options: ResolvedOptions,
    source: TensorSource,
    parameters: readonly LoraParameter[],
    data: TrainingData,
    checkpoints: readonly Checkpoint[],
  ) {
    this.#given = given;
    this.#options = options;
    this.#source = source;
    this.#parameters = parameters;
    this.#data = data;
    this.#checkpoints = checkpoints;
    const total = totalSteps((epoch) => data.batches(options.seed, epoch), {
      epochs: options.epochs,
      maxSteps: options.maxSteps,
      accumulation: options.gradientAccumulationSteps,
    });
    const { warmupSteps: steps, warmupRatio: ratio } = options;
    const { schedule: type, learningRate } = options;
    this.#schedule = {
      type,
      learningRate,
      totalSteps: total,
      warmupSteps: warmupSteps({ steps, ratio }, total),
    };
  }

  async run(open: OpenTrainable): Promise<FinetuneResult> {
    const source = this.#source;
    const identity: RunIdentity = {
      options: recordOptions(this.#options),
      model: await sampledFingerprint(source),
      data: this.#data.fingerprint,
    };
    const newest = this.#checkpoints.at(-1);
    if (newest) this.#state = await readState(newest, identity);
    const model = await this.#open(open);
    try {
      return await this.#withModel(model, identity, newest);
    } finally {
      await model.close();
    }
  }

  #open(open: OpenTrainable): ReturnType<OpenTrainable> {
    const { full, dropout, trainRouter, routerAuxLossCoef } = this.#options;
    const { onProgress, signal } = this.#given;
    const trainable: Trainable = full
      ? { kind: 'full' }
      : { kind: 'lora', parameters: this.#parameters, dropout };
    return open(this.#source, {
      trainable,
      threads: this.#options.threads,
      maxTokens: mostTokens(this.#options),
      checkpointing: this.#options.gradientCheckpointing,
      optimizer: this.#options.optimizer,
      auxiliaryCoefficient: routerAuxLossCoef ?? (full || trainRouter ? AUXILIARY_COEFFICIENT : 0),
      seed: this.#options.seed,
      onProgress: (done, total) => onProgress?.('model', done, total),
      signal,
    });
  }

  async #withModel(
    model: TrainableModel,
    identity: RunIdentity,
    newest: Checkpoint | undefined,
  ): Promise<FinetuneResult> {
    const { output, seed, full, method, saveTotalLimit } = this.#options;
    const { signal } = this.#given;
    const data = this.#data;
    const reference =
      full && method === 'dpo' ? await ReferenceSums.measure(model, data, seed, signal) : undefined;
    if (newest) await restoreTensors(newest, model);
    const base = { name: this.#options.model, norms: await normChecksum(this.#source) };
    const adapter = full ? undefined : trainedAdapter(output, base, this.#source, this.#parameters, model);

    this.#log = await TrainingLog.open(output, this.#state.step);
    this.#tellStart(model);
    let reason: EndReason = 'failed';
    let message: string | undefined;
    let outputs: string[] = [];
    try {
      const result = await train({
        model,
        data,
        options: this.#options,
        schedule: this.#schedule,
        evalSteps: this.#evalSteps(),
        state: this.#state,
        reference,
        observe: (event) => this.#tell(event),
        save: async (state) => {
          const path = await saveCheckpoint(output, model, state, identity, adapter);
          await pruneCheckpoints(output, saveTotalLimit, this.#bestStep(state));
          return path;
        },
        signal,
      });
      this.#state = result.state;
      reason = result.reason;
      if (result.reason === 'interrupted') throw interrupted(output, result.state.step);
      const bestStep = this.#bestStep(result.state);
      if (bestStep !== undefined && bestStep !== result.state.step) {
        const best = (await listCheckpoints(output)).find(({ step }) => step === bestStep)!;
        await restoreTensors(best, model, true);
      }
      outputs = adapter
        ? await writeAdapterResults(output, adapter)
        : await writeModelResults(output, this.#options.model, trainedSource(this.#source, model), signal);
      outputs.push(join(output, REPORT_NAME));
      const { step, best } = result.state;
      return { reason: result.reason, step, bestStep, evaluationLoss: best?.loss, outputs };
    } catch (error) {
      message = error instanceof Error ? error.message : String(error);
      if (error instanceof CriaError && error.code === 'loss-not-finite') reason = 'not-finite';
      else if (reason !== 'interrupted') reason = 'failed';
      throw error;
    } finally {
      const seconds = (performance.now() - this.#started) / 1000;
      this.#tell({ event: 'end', reason, step: this.#state.step, seconds, outputs, message });
      this.#log.close();
      await this.#report(reason);
    }
  }

  /** The step whose state is to be kept for early stopping. */
  #bestStep({ best }: TrainerState): number | undefined {
    return this.#options.earlyStoppingPatience === undefined ? undefined : best?.step;
  }

  #evalSteps(): number {
    if (this.#data.validating.examples === 0) return 0;
    return this.#options.evalSteps ?? Math.max(1, Math.ceil(this.#schedule.totalSteps / EVALUATIONS));
  }

  #tellStart(model: TrainableModel): void {
    const { training, validating, skipped, truncated } = this.#data;
    const { output, method, full, epochs } = this.#options;
    this.#tell({
      event: 'start',
      model: this.#options.model,
      output,
      method,
      tuning: full ? 'full' : 'lora',
      options: recordOptions(this.#options),
      totalSteps: this.#schedule.totalSteps,
      firstStep: this.#state.step,
      epochs,
      examples: training.examples,
      evaluationExamples: validating.examples,
      tokens: training.tokens,
      trainableParameters: model.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      memory: model.memory,
      threads: this.#options.threads ?? computeThreads(),
      time: new Date().toISOString(),
    });
    const warn = (message: string) => this.#tell({ event: 'warning', message });
    for (const { file, row, reason } of skipped.slice(0, WARNED_ROWS)) {
      warn(`'${file}', row ${row} is not used: ${reason}`);
    }
    if (skipped.length > WARNED_ROWS)
      warn(`${skipped.length} rows are not used, of which these are the first`);
    if (truncated > 0) warn(`${truncated} sequences were cut to the context (-c)`);
  }

  #tell(event: TrainingEvent): void {
    if (event.event === 'step') this.#state = { ...this.#state, step: event.step };
    this.#log?.write(event);
    this.#given.observe?.(event);
  }

  /** From the log, which knows of the run's earlier parts too. */
  async #report(reason: EndReason): Promise<void> {
    const { output } = this.#options;
    try {
      const log = await readFile(join(output, LOG_NAME), 'utf8');
      await writeTrainingReport(join(output, REPORT_NAME), TrainingHistory.fromLog(log));
    } catch (error) {
      // Of a run that failed, its own error says more.
      if (reason === 'finished' || reason === 'early-stop') throw error;
    }
  }
}

function interrupted(output: string, step: number): CriaError {
  const message =
    step > 0
      ? `stopped after step ${step}, saved in '${output}': the same command with --resume goes on from there`
      : 'stopped before the first step was done';
  return new CriaError('cancelled', 'cancelled', message);
}
