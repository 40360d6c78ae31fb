import { CriaError } from '../base/errors.js';

/** The `type` of errors in OpenAI's API. */
export type ApiErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'not_found_error'
  | 'overloaded_error'
  | 'server_error';

/** A request that is answered with an error: HTTP status and the fields of OpenAI's error object. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: ApiErrorType;
  readonly code: string;
  /** The field of the request that is wrong, as a path: `messages.0.content`. */
  readonly param: string | null;
  /** Seconds after which another try may succeed. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    type: ApiErrorType,
    code: string,
    message: string,
    more: { param?: string; retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.status = status;
    this.type = type;
    this.code = code;
    this.param = more.param ?? null;
    this.retryAfter = more.retryAfter;
  }

  /** The body of the answer. */
  toBody(): { error: { message: string; type: string; param: string | null; code: string } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

/** A request whose field `param` is wrong. */
export function badRequest(code: string, message: string, param?: string): ApiError {
  return new ApiError(400, 'invalid_request_error', code, message, param === undefined ? {} : { param });
}

/**
 * What to answer when `error` was thrown. Mistakes of the caller are told; of anything else only that it happened,
 * as messages of defects may hold paths and data of others.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof CriaError) {
    if (error.kind === 'usage' || error.kind === 'unsupported') return badRequest(error.code, error.message);
    if (error.kind === 'resources') {
      return new ApiError(503, 'overloaded_error', error.code, error.message, {
        retryAfter: 5,
        cause: error,
      });
    }
    if (error.kind === 'cancelled') {
      return new ApiError(503, 'server_error', error.code, 'the answer was stopped', { cause: error });
    }
  }
  return new ApiError(500, 'server_error', 'internal', 'the server failed to answer; its log says why', {
    cause: error,
  });
}
