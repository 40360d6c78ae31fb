// Entry point of the engine's worker threads.
import { parentPort, workerData } from 'node:worker_threads';
import { Control, LaneAborted, STOP } from './control.js';
import { type CreateProgram, Lane, type LaneSetup } from './lane.js';

/** What the pool passes to each worker. */
export interface WorkerData {
  readonly control: SharedArrayBuffer;
  readonly setup: LaneSetup;
  readonly rank: number;
  /** URL of the module that exports `createProgram`. */
  readonly program: string;
  readonly init: unknown;
}

const { control: buffer, setup, rank, program: url, init } = workerData as WorkerData;
const control = new Control(buffer, setup.lanes);
const { createProgram } = (await import(url)) as { createProgram: CreateProgram };
const program = createProgram(new Lane(setup, rank, control), init);
parentPort!.postMessage('ready');

for (let step = 0; ; ) {
  step = control.nextStep(step);
  if (step === STOP) break;
  try {
    program.step(control.command);
  } catch (error) {
    control.fail();
    if (!(error instanceof LaneAborted)) throw error;
    break;
  }
  control.finish(step);
}
