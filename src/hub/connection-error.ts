import { CriaError } from '../base/errors.js';
import { TransientError } from './retries.js';

/** A connection that broke may hold the next time; a certificate that is wrong stays wrong. */
export function connectionError(url: URL, error: unknown): Error {
  const { message, code = '' } = error as NodeJS.ErrnoException;
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO|ERR_SSL/.test(code) || code === 'UND_ERR_INVALID_ARG') {
    return new CriaError('network', 'hub-unreachable', `cannot reach ${url.host}: ${message}`, {
      cause: error,
    });
  }
  return new TransientError(`cannot reach ${url.host}: ${message || code}`, { cause: error });
}
