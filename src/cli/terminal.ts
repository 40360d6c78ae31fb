import { INTERRUPTED } from './failure.js';
import type { Terminal } from './verb.js';

export interface ProcessTerminal extends Terminal {
  /** Ends the process with `process.exitCode` once everything written has left. */
  flushAndExit(): void;
}

/** The real terminal: the process's streams and signals. */
export function processTerminal(): ProcessTerminal {
  const controller = new AbortController();
  const handlers: (() => void)[] = [];

  const stop = () => {
    // Asked twice: whatever is still running is not worth waiting for.
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  };
  process.on('SIGINT', () => (handlers.at(-1) ?? stop)());
  process.on('SIGTERM', stop);

  // A reader that has seen enough (`| head`) closes the pipe: nothing went wrong, and nobody is left to tell.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  }

  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: controller.signal,
    onInterrupt: (handler) => {
      handlers.push(handler);
      return () => {
        handlers.splice(handlers.lastIndexOf(handler), 1);
      };
    },
    flushAndExit: () => {
      process.stdout.write('', () => process.stderr.write('', () => process.exit()));
    },
  };
}
