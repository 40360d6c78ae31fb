import { parentPort, workerData } from 'node:worker_threads';
import { BUILT_IN_TASKS } from '../built-in-tasks.js';
import type { Program } from '../program.js';
import type { BuiltInCheck, CheckResult, FileCheck, TaskLimits } from '../task.js';
import { runFileCheck } from './file-check.js';
import { CheckFailure, ProgramError, RunningProgram } from './game.js';
import { Machine } from './machine.js';

/** What a worker is started with. */
export interface CheckRequest {
  readonly program: Program;
  readonly width: number;
  readonly height: number;
  readonly limits: TaskLimits;
  /** The checks themselves or, of a task that comes with Cria, their names: functions cannot be sent. */
  readonly checks: readonly FileCheck[] | { readonly builtInTask: string; readonly names: readonly string[] };
}

/** Frames the program has to survive before anything is asked of it. */
const WARM_UP_FRAMES = 30;
const STARTS = { name: 'the program starts and runs half a second', points: 1 };

async function check({ program, width, height, limits, checks }: CheckRequest): Promise<CheckResult[]> {
  const deadline = Date.now() + limits.seconds * 1000;
  const start = async () =>
    new RunningProgram(await Machine.create(limits.memoryBytes, deadline), program, { width, height });
  const results: CheckResult[] = [];
  let stopped: string | undefined;

  const attempt = async (about: { name: string; points: number }, run: (game: RunningProgram) => unknown) => {
    const { name, points } = about;
    const add = (message?: string) => results.push({ name, points, passed: message === undefined, message });
    if (stopped !== undefined) {
      add(stopped);
      return;
    }
    try {
      await run(await start());
      add();
    } catch (error) {
      const isFatal = error instanceof ProgramError && (error.fatal || about === STARTS);
      if (isFatal)
        stopped = about === STARTS ? 'not checked: the program does not run' : 'not checked: no time left';
      add(describeFailure(error));
    }
  };

  await attempt(STARTS, (game) => game.frames(WARM_UP_FRAMES));
  if ('names' in checks) {
    const task = BUILT_IN_TASKS.find(({ name }) => name === checks.builtInTask)!;
    for (const one of task.checks as readonly BuiltInCheck[]) {
      if (checks.names.includes(one.name)) await attempt(one, (game) => one.run(game));
    }
  } else {
    for (const one of checks) {
      await attempt(one, (game) => runFileCheck(one.code, game, deadline));
    }
  }
  return results;
}

function describeFailure(error: unknown): string {
  if (error instanceof CheckFailure || error instanceof ProgramError) return error.message.slice(0, 600);
  // A program can draw what no check foresees.
  return `the check cannot make sense of what was drawn (${(error as Error).message})`.slice(0, 600);
}

parentPort!.postMessage(await check(workerData as CheckRequest));
