import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { CriaError } from '../../base/errors.js';
import type { Program } from './program.js';
import type { CheckRequest } from './sandbox/worker.js';
import type { CheckResult, FileCheck, Task } from './task.js';

const require = createRequire(import.meta.url);

/** The thread ends itself at the limit; only one that cannot is ended from here. */
const GRACE_SECONDS = 5;
const THREAD_LIMITS = { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 64, stackSizeMb: 32 };

/**
 * Runs a program and the checks of its task in a sandbox: a thread that is ended when its time is over, in which the
 * program runs inside QuickJS inside WebAssembly, without files, network or anything else of this process. A program
 * that cannot be run fails its checks; only `signal` (kind `cancelled`) and defects of Cria throw.
 */
export async function runChecks(program: Program, task: Task, signal?: AbortSignal): Promise<CheckResult[]> {
  const { name, width, height, limits } = task;
  const fileChecks = task.checks.filter((check): check is FileCheck => 'code' in check);
  const names = task.checks.map((check) => check.name);
  const checks = fileChecks.length === names.length ? fileChecks : { builtInTask: name, names };
  const workerData: CheckRequest = { program, width, height, limits, checks };
  const worker = new Worker(require.resolve('#task-worker'), {
    workerData,
    execArgv: [],
    env: {},
    resourceLimits: THREAD_LIMITS,
  });
  const failAll = (message: string): CheckResult[] =>
    task.checks.map((check) => ({ name: check.name, points: check.points, passed: false, message }));
  let stop = () => {};
  try {
    return await new Promise<CheckResult[]>((resolve, reject) => {
      const timer = setTimeout(
        () => resolve(failAll(`the program did not end within ${limits.seconds} s`)),
        (limits.seconds + GRACE_SECONDS) * 1000,
      );
      stop = () => reject(new CriaError('cancelled', 'cancelled', 'stopped'));
      signal?.addEventListener('abort', stop);
      if (signal?.aborted) stop();
      worker.once('message', resolve);
      worker.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') resolve(failAll('the program took too much memory'));
        else reject(error);
      });
      worker.once('exit', () => {
        clearTimeout(timer);
        resolve(failAll('the program ended the sandbox'));
      });
    });
  } finally {
    signal?.removeEventListener('abort', stop);
    await worker.terminate();
  }
}
