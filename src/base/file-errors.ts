import { CriaError } from './errors.js';

/**
 * Turns an error of `node:fs` on `path` into one for the user; a CriaError passes unchanged. `doing` completes
 * "cannot …" (`write`, `open`).
 * Codes: `disk-full`, `too-many-open-files` (resources), `no-such-file`, `not-a-file`, `no-permission` (not-found),
 * `io-error` (resources).
 */
export function fileError(error: unknown, doing: string, path: string): CriaError {
  if (error instanceof CriaError) return error;
  const errno = (error as NodeJS.ErrnoException).code;
  const at = `cannot ${doing} '${path}'`;
  const options = { cause: error };
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new CriaError('resources', 'disk-full', `${at}: no space left for it`, options);
    case 'EMFILE':
    case 'ENFILE':
      return new CriaError('resources', 'too-many-open-files', `${at}: too many files are open`, options);
    case 'ENOENT':
    case 'ENOTDIR':
      return new CriaError('not-found', 'no-such-file', `${at}: no such file or folder`, options);
    case 'EISDIR':
      return new CriaError('not-found', 'not-a-file', `${at}: expected a file, found a folder`, options);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new CriaError('not-found', 'no-permission', `${at}: permission denied`, options);
    default:
      return new CriaError('resources', 'io-error', `${at}: ${(error as Error).message}`, options);
  }
}
