import type { Writable } from 'node:stream';
import { CriaError, EXIT_CODES } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';

/** Writes the one line that says what went wrong and returns the exit code; `debug` adds the stack. */
export function fail(error: unknown, stderr: Writable, debug: boolean): number {
  const known = toCriaError(error);
  stderr.write(`cria: ${singleLine(known.message)}\n`);
  if (debug) {
    const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
    stderr.write(`[${known.code}] ${cause}\n`);
  }
  return known.exitCode;
}

/** Errors of the system as the kinds a user can act on; anything unforeseen is a defect and says so. */
function toCriaError(error: unknown): CriaError {
  if (error instanceof CriaError) return error;
  if (error instanceof Error) {
    if (error.name === 'AbortError') return new CriaError('cancelled', 'cancelled', 'stopped');
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined) return fileError(error, 'use', path);
    if (error instanceof RangeError && /allocation|memory/i.test(error.message)) {
      return new CriaError('resources', 'out-of-memory', `not enough memory: ${error.message}`);
    }
    return new CriaError(
      'internal',
      'internal',
      `internal error: ${error.message} (CRIA_DEBUG=1 shows where)`,
    );
  }
  return new CriaError('internal', 'internal', `internal error: ${String(error)}`);
}

export const INTERRUPTED = EXIT_CODES.cancelled;

/** Names inside messages come from files: their control characters must not reach the terminal. */
function singleLine(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is being removed
  return message.replace(/\s*\n\s*/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}
