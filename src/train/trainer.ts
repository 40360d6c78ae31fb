import { CriaError } from '../base/errors.js';
import type { DataBatch, TrainingData } from './data/types.js';
import { type BestEvaluation, judgeEvaluation } from './early-stopping.js';
import type { EndReason, PreferenceFigures, TrainingObserver } from './events.js';
import type { ResolvedOptions } from './finetune-options.js';
import { joinFigures, type PreferenceLoss, preferenceLoss, sequenceSums } from './preference.js';
import type { ReferenceSums } from './reference-sums.js';
import { learningRateAt, type Schedule } from './schedule.js';
import { afterStep, type DataPosition } from './step-plan.js';
import type { TrainableModel } from './trainable-model.js';

/** All that a run needs, beside the model's own state, to go on. */
export interface TrainerState {
  /** Steps done. */
  readonly step: number;
  /** Where the next one begins. */
  readonly position: DataPosition;
  readonly best?: BestEvaluation;
}

export interface TrainerSetting {
  readonly model: TrainableModel;
  readonly data: Pick<TrainingData, 'batches' | 'epoch' | 'validation'>;
  readonly options: ResolvedOptions;
  readonly schedule: Schedule;
  /** Steps between evaluations; 0 without rows to evaluate on. */
  readonly evalSteps: number;
  readonly state: TrainerState;
  /** DPO of every weight: what the pairs were worth to the model before training. */
  readonly reference?: ReferenceSums;
  readonly observe: TrainingObserver;
  /** Keeps the state as a checkpoint and returns where. */
  readonly save: (state: TrainerState) => Promise<string>;
  readonly signal?: AbortSignal;
}

export interface TrainerResult {
  readonly reason: Extract<EndReason, 'finished' | 'early-stop' | 'interrupted'>;
  readonly state: TrainerState;
  readonly seconds: number;
}

/** Figures of steps since they were last told. */
interface Interval {
  loss: number;
  lossUnits: number;
  auxiliary: number;
  passes: number;
  tokens: number;
  seconds: number;
  preferences: Pick<PreferenceLoss, 'pairs' | 'figures'>[];
}

/**
 * Runs the steps of a training run. It ends early when the signal is given, saved, or when the evaluation loss has not
 * fallen for `earlyStoppingPatience` evaluations. Throws `loss-not-finite` (usage) naming the step; what was saved
 * before stays.
 */
export async function train(setting: TrainerSetting): Promise<TrainerResult> {
  return new Trainer(setting).run();
}

class Trainer {
  readonly #setting: TrainerSetting;
  readonly #started = performance.now();
  #state: TrainerState;
  #saved: number;
  #interval = newInterval();
  /** Batches from the state's position on. */
  #batches: AsyncIterator<DataBatch> | undefined;

  constructor(setting: TrainerSetting) {
    this.#setting = setting;
    this.#state = setting.state;
    this.#saved = setting.state.step;
  }

  async run(): Promise<TrainerResult> {
    try {
      return await this.#steps();
    } finally {
      await this.#batches?.return?.();
    }
  }

  async #steps(): Promise<TrainerResult> {
    const { options, evalSteps, schedule, signal } = this.#setting;
    const { earlyStoppingPatience: patience } = options;
    const total = schedule.totalSteps;
    while (this.#state.step < total) {
      if (signal?.aborted || !(await this.#step())) return this.#interrupted();
      const { step } = this.#state;
      const last = step === total;
      if (evalSteps > 0 && (step % evalSteps === 0 || last)) {
        const better = await this.#evaluate();
        if (patience !== undefined && better) await this.#save();
        if (patience !== undefined && (this.#state.best?.since ?? 0) >= patience) {
          return this.#result('early-stop');
        }
      }
      if (!last && step % options.saveSteps === 0) await this.#save();
    }
    return this.#result('finished');
  }

  /** One step; false when the signal was given before its end, and nothing has changed then. */
  async #step(): Promise<boolean> {
    const { model, options, data, schedule, signal, observe } = this.#setting;
    const { step, position } = this.#state;
    const started = performance.now();
    const count = (epoch: number) => data.batches(options.seed, epoch);
    const accumulation = options.gradientAccumulationSteps;
    const batches = await this.#take(Math.min(accumulation, count(position.epoch) - position.batch));
    const tokens = batches.reduce((sum, { trained }) => sum + trained, 0);
    const pairs = batches.reduce((sum, { examples }) => sum + examples, 0);
    for (const batch of batches) {
      if (signal?.aborted) return false;
      await this.#accumulate(batch, tokens, pairs);
    }
    const loss = this.#interval.loss;
    if (!Number.isFinite(loss)) throw this.#notFinite(`the loss is ${loss}`);
    const learningRate = learningRateAt(schedule, step);
    const { beta1, beta2, epsilon, weightDecay, maxGradNorm: maxNorm } = options;
    const { norm, applied } = await model.update({
      learningRate,
      beta1,
      beta2,
      epsilon,
      weightDecay,
      maxNorm,
    });
    if (!applied) throw this.#notFinite(`the norm of the gradients is ${norm}`);

    const next = afterStep(position, count, accumulation);
    if (next.epoch !== position.epoch) this.#batches = undefined;
    this.#state = { ...this.#state, step: step + 1, position: next };
    this.#interval.seconds += (performance.now() - started) / 1000;
    if ((step + 1) % options.loggingSteps === 0 || step + 1 === schedule.totalSteps) {
      observe({ event: 'step', ...this.#figures(learningRate, norm) });
      this.#interval = newInterval();
    }
    return true;
  }

  async #take(count: number): Promise<DataBatch[]> {
    const { data, options } = this.#setting;
    const { epoch, batch } = this.#state.position;
    this.#batches ??= data.epoch(options.seed, epoch, batch)[Symbol.asyncIterator]();
    const taken: DataBatch[] = [];
    while (taken.length < count) {
      const { done, value } = await this.#batches.next();
      if (done) throw new CriaError('internal', 'data-ended', `epoch ${epoch} ended before its last batch`);
      taken.push(value);
    }
    return taken;
  }

  /** @param tokens of the whole step, with a target */
  async #accumulate(batch: DataBatch, tokens: number, pairs: number): Promise<void> {
    const { model, options } = this.#setting;
    const { step } = this.#state;
    const interval = this.#interval;
    interval.tokens += batch.ids.length;
    interval.passes++;
    if (options.method === 'sft') {
      const loss = await model.accumulate(batch, 1 / tokens, step);
      interval.loss += loss.sum;
      interval.lossUnits += loss.tokens;
      interval.auxiliary += loss.auxiliary;
      return;
    }
    const preference = await this.#pairs(batch);
    // The mean is one over pairs, but the auxiliary loss is weighed by tokens in either method.
    const weights = preference.weights.map((weight) => (weight * tokens) / pairs);
    const { auxiliary } = await model.accumulate({ ...batch, weights }, 1 / tokens, step);
    interval.loss += preference.sum;
    interval.lossUnits += preference.pairs;
    interval.auxiliary += auxiliary;
    interval.preferences.push(preference);
  }

  async #pairs(batch: DataBatch): Promise<PreferenceLoss> {
    const { model, reference, options } = this.#setting;
    const current = sequenceSums(batch, await model.likelihoods(batch, { adapters: true }));
    const before =
      reference?.of(batch) ?? sequenceSums(batch, await model.likelihoods(batch, { adapters: false }));
    return preferenceLoss(batch, current, before, options.beta);
  }

  /** Evaluates and tells; whether the loss is the lowest so far. */
  async #evaluate(): Promise<boolean> {
    const { model, data, options, observe } = this.#setting;
    let [sum, units] = [0, 0];
    const preferences: PreferenceLoss[] = [];
    for await (const batch of data.validation()) {
      if (options.method === 'dpo') {
        const pairs = await this.#pairs(batch);
        preferences.push(pairs);
        sum += pairs.sum;
        units += pairs.pairs;
      } else {
        const likelihoods = await model.likelihoods(batch, { adapters: true });
        for (const value of likelihoods) sum += value;
        units += batch.trained;
      }
    }
    const { step } = this.#state;
    const loss = sum / units;
    if (!Number.isFinite(loss)) throw this.#notFinite(`the loss of the evaluation is ${loss}`);
    const { best, better } = judgeEvaluation(this.#state.best, step, loss);
    this.#state = { ...this.#state, best };
    observe({ event: 'evaluation', step, loss, best: better, preference: preferenceOf(preferences) });
    return better;
  }

  async #save(): Promise<void> {
    const { step } = this.#state;
    if (step === this.#saved) return;
    const path = await this.#setting.save(this.#state);
    this.#saved = step;
    this.#setting.observe({ event: 'checkpoint', step, path });
  }

  async #interrupted(): Promise<TrainerResult> {
    await this.#save();
    return this.#result('interrupted');
  }

  #result(reason: TrainerResult['reason']): TrainerResult {
    return { reason, state: this.#state, seconds: this.#seconds() };
  }

  #figures(learningRate: number, gradientNorm: number) {
    const { data, options, schedule, state } = this.#setting;
    const { step, position } = this.#state;
    const { loss, lossUnits, auxiliary, passes, tokens, seconds, preferences } = this.#interval;
    const elapsed = this.#seconds();
    return {
      step,
      epoch:
        position.epoch +
        (position.batch === 0 ? 0 : position.batch / data.batches(options.seed, position.epoch)),
      loss: loss / lossUnits,
      ...(auxiliary > 0 ? { auxiliaryLoss: auxiliary / passes } : {}),
      learningRate,
      gradientNorm,
      tokens,
      tokensPerSecond: tokens / Math.max(seconds, 1e-6),
      seconds: elapsed,
      remaining: (elapsed / (step - state.step)) * (schedule.totalSteps - step),
      rss: process.memoryUsage.rss(),
      preference: preferenceOf(preferences),
    };
  }

  #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  #notFinite(what: string): CriaError {
    const step = this.#state.step + 1;
    const kept =
      this.#saved > 0 ? `the checkpoint of step ${this.#saved} stays` : 'no checkpoint was written yet';
    const message = `step ${step}: ${what}, expected a finite number; ${kept} (a lower --learning-rate may help)`;
    return new CriaError('usage', 'loss-not-finite', message);
  }
}

function newInterval(): Interval {
  return { loss: 0, lossUnits: 0, auxiliary: 0, passes: 0, tokens: 0, seconds: 0, preferences: [] };
}

function preferenceOf(
  parts: readonly Pick<PreferenceLoss, 'pairs' | 'figures'>[],
): PreferenceFigures | undefined {
  return parts.length > 0 ? joinFigures(parts) : undefined;
}
