import { CriaError } from '../base/errors.js';
import { createProgress, type Progress, type ProgressOptions } from '../base/progress.js';
import type { Terminal } from './verb.js';

export type Report = (done: number, total: number) => void;

/**
 * Runs `work` and shows on standard error how far it is. A report after Ctrl-C throws `cancelled`, so that work which
 * reports can be stopped, and clean up, without knowing about signals.
 */
export async function withProgress<T>(
  terminal: Terminal,
  options: Pick<ProgressOptions, 'label' | 'unit' | 'quiet'>,
  work: (report: Report) => Promise<T>,
): Promise<T> {
  let progress: Progress | undefined;
  const report: Report = (done, total) => {
    throwIfStopped(terminal.signal);
    progress ??= createProgress({ ...options, total, stream: terminal.stderr as ProgressOptions['stream'] });
    progress.update(done);
  };
  try {
    const result = await work(report);
    progress?.finish();
    return result;
  } catch (error) {
    progress?.fail();
    throw error;
  }
}

export function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
}
