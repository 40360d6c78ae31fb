import { CriaError } from '../../base/errors.js';

/** Why one row cannot be used. The others may be: whoever reads the file decides when there are too many of these. */
export class RowFault extends Error {}

/** Makes a fault of an error that is known to come from the row's own content; what is no CriaError stays. */
export function asRowFault(error: unknown): unknown {
  return error instanceof CriaError ? new RowFault(error.message, { cause: error }) : error;
}
