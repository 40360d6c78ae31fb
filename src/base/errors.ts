/**
 * What kind of thing went wrong; each kind has its own process exit code (see docs/errors.md).
 *
 * - `usage`: a flag, option or value the program does not know
 * - `not-found`: a path that is not there, or is not what its use needs
 * - `bad-file`: a file whose bytes contradict its format
 * - `unsupported`: a valid file that asks for something Cria does not do
 * - `resources`: not enough memory, disk or threads
 * - `network`: a server that cannot be reached, or does not answer as it should
 * - `cancelled`: the user stopped the work
 * - `internal`: a defect in Cria
 */
export type ErrorKind =
  | 'usage'
  | 'not-found'
  | 'bad-file'
  | 'unsupported'
  | 'resources'
  | 'network'
  | 'cancelled'
  | 'internal';

export const EXIT_CODES: Readonly<Record<ErrorKind, number>> = {
  internal: 1,
  usage: 2,
  'not-found': 3,
  'bad-file': 4,
  unsupported: 5,
  resources: 6,
  network: 7,
  cancelled: 130,
};

/**
 * An error meant for the user: one line that says what was expected, what was found and where.
 * `code` is stable (`gguf-bad-magic`) and may be matched on; the message may change.
 */
export class CriaError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;

  constructor(kind: ErrorKind, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CriaError';
    this.kind = kind;
    this.code = code;
  }

  get exitCode(): number {
    return EXIT_CODES[this.kind];
  }
}
