export type FailureKind =
  /** No answer, or a connection lost on the way. */
  | 'network'
  | 'unauthorized'
  /** Every slot is taken and the queue is full. */
  | 'busy'
  /** The chat is longer than the context. */
  | 'too-long'
  | 'too-large'
  | 'no-vision'
  /** The server does not accept the request; its message says why. */
  | 'refused'
  | 'server';

/** Why an answer did not come, in a form that can be kept and told in any language. */
export interface Failure {
  readonly kind: FailureKind;
  /** The server's own words. */
  readonly detail?: string;
  /** Seconds after which another try may succeed. */
  readonly retryAfter?: number;
}

export class RequestFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.detail ?? failure.kind);
    this.failure = failure;
  }
}

/** What a refusal means. `body` is the JSON the server sent, or anything else. */
export function failureOf(status: number, body: unknown, retryAfter: string | null = null): Failure {
  const { message, code } = errorFields(body);
  const detail = message === undefined ? {} : { detail: message };
  if (status === 401) return { kind: 'unauthorized' };
  if (status === 413) return { kind: 'too-large', ...detail };
  if (status === 503 || status === 429) {
    const seconds = Number(retryAfter ?? Number.NaN);
    return { kind: 'busy', ...detail, ...(seconds > 0 && { retryAfter: Math.ceil(seconds) }) };
  }
  if (code === 'context_length_exceeded') return { kind: 'too-long', ...detail };
  if (code === 'no-vision') return { kind: 'no-vision' };
  return { kind: status >= 500 ? 'server' : 'refused', ...detail };
}

function errorFields(body: unknown): { message?: string; code?: string } {
  const error = (body as { error?: { message?: unknown; code?: unknown } } | null)?.error;
  return {
    ...(typeof error?.message === 'string' && { message: error.message }),
    ...(typeof error?.code === 'string' && { code: error.code }),
  };
}
