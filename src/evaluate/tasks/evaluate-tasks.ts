import { CriaError } from '../../base/errors.js';
import { computeThreads } from '../../base/processors.js';
import { extractProgram } from './extract-program.js';
import { nextMessages, type TaskMessage } from './feedback.js';
import { runChecks } from './run-checks.js';
import { hasPassed, isFinished, type Round, type SampleRecord } from './sample-record.js';
import type { SampleStore } from './sample-store.js';
import type { Task } from './task.js';
import { type TaskResult, taskResult } from './task-results.js';
import { Turns } from './turns.js';

export interface CompletionRequest {
  readonly messages: readonly TaskMessage[];
  /** Different for every answer, the same when a run is repeated. */
  readonly seed: number;
  readonly signal?: AbortSignal;
}

/** Answers a chat: a loaded model or a server. `prompt-too-long` (usage) ends a sample, other errors the run. */
export type Complete = (request: CompletionRequest) => Promise<string>;

export interface EvaluateTasksOptions {
  readonly tasks: readonly Task[];
  readonly complete: Complete;
  /** Samples per task. */
  readonly samples: number;
  /** Answers per sample at most: the first, and repairs. */
  readonly rounds: number;
  readonly seed: number;
  /** Samples worked on at the same time; default 1. */
  readonly parallel?: number;
  /** Where samples are kept; finished ones are not asked for again. */
  readonly store?: SampleStore;
  /** Called at the start and after each sample. */
  readonly onProgress?: (doneSamples: number, totalSamples: number) => void;
  /** Called after each answer was run. */
  readonly onRound?: (task: Task, record: SampleRecord) => void;
  readonly signal?: AbortSignal;
}

export interface TasksEvaluation {
  readonly results: readonly TaskResult[];
  readonly samples: readonly SampleRecord[];
}

/**
 * Has every task answered `samples` times, runs what comes back, and tells the model what failed until it passes or
 * `rounds` are over. Throws what `complete` and `store` throw, and kind `cancelled`.
 */
export async function evaluateTasks(options: EvaluateTasksOptions): Promise<TasksEvaluation> {
  const { tasks, samples, parallel = 1, onProgress } = options;
  const jobs = tasks.flatMap((task) => Array.from({ length: samples }, (_, i) => ({ task, sample: i + 1 })));
  const records = new Array<SampleRecord>(jobs.length);
  let started = 0;
  let done = 0;
  onProgress?.(0, jobs.length);
  // One failure ends the other lanes, too.
  const failure = new AbortController();
  const failures: unknown[] = [];
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])]);
  // A program's time is counted by the clock: programs must not wait for each other's processor.
  const sandboxes = new Turns(computeThreads());
  const lane = async () => {
    while (started < jobs.length && !signal.aborted) {
      const index = started++;
      const { task, sample } = jobs[index]!;
      records[index] = await workOn(task, sample, sandboxes, { ...options, signal });
      onProgress?.(++done, jobs.length);
    }
  };
  const lanes = Array.from({ length: Math.min(parallel, jobs.length) }, () =>
    lane().catch((error) => {
      failures.push(error);
      failure.abort();
    }),
  );
  await Promise.all(lanes);
  if (options.signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
  if (failures.length > 0) throw failures[0];
  const results = tasks.map(({ name }) =>
    taskResult(
      name,
      records.filter(({ task }) => task === name),
    ),
  );
  return { results, samples: records };
}

/** Seeds of different samples and rounds are far apart, so that lengthening a run repeats none. */
const SAMPLE_SEEDS = 1000;

async function workOn(
  task: Task,
  sample: number,
  sandboxes: Turns,
  { complete, rounds, seed: firstSeed, store, onRound, signal }: EvaluateTasksOptions,
): Promise<SampleRecord> {
  const seed = (firstSeed + (sample - 1) * SAMPLE_SEEDS) % 2 ** 32;
  let record: SampleRecord = (await store?.read(task, sample)) ?? {
    task: task.name,
    sample,
    seed,
    rounds: [],
  };
  while (!isFinished(record, rounds)) {
    const messages = nextMessages(task, record.rounds);
    let answer: string;
    try {
      answer = await complete({ messages, seed: (seed + record.rounds.length) % 2 ** 32, signal });
    } catch (error) {
      const doesNotFit = error instanceof CriaError && error.code === 'prompt-too-long';
      // That the task itself does not fit is no result but a mistake of who set the context.
      if (!doesNotFit || record.rounds.length === 0) throw error;
      record = { ...record, stopped: error.message };
      await store?.write(task, record);
      break;
    }
    record = {
      ...record,
      rounds: [...record.rounds, await sandboxes.take(() => runAnswer(task, answer, signal))],
    };
    await store?.write(task, record);
    onRound?.(task, record);
  }
  return record;
}

async function runAnswer(task: Task, answer: string, signal?: AbortSignal): Promise<Round> {
  const { program, problem } = extractProgram(answer);
  if (program !== undefined) return { answer, checks: await runChecks(program, task, signal) };
  const checks = task.checks.map(({ name, points }) => ({ name, points, passed: false, message: problem }));
  return { answer, problem, checks };
}

/** `passed`, or how many checks did. */
export function describeRound(round: Round): string {
  if (hasPassed(round)) return 'passed';
  const passed = round.checks.filter((check) => check.passed).length;
  return round.problem ?? `${passed} of ${round.checks.length} checks passed`;
}
