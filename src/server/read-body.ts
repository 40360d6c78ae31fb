import type { z } from 'zod';
import { formatBytes } from '../base/byte-size.js';
import { ApiError, badRequest } from './api-error.js';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The JSON body of a request, checked. Throws ApiError: 413 `body-too-large`, 415 `not-json`, 400 `bad-json`,
 * `bad-utf8`, and for the first field that is wrong `bad-field` with its path.
 */
export async function readBody<T extends z.ZodType>(
  request: Request,
  schema: T,
  maxBytes: number,
): Promise<z.infer<T>> {
  const type = request.headers.get('content-type') ?? 'application/json';
  if (!/^application\/(.+\+)?json\b/i.test(type)) {
    throw new ApiError(
      415,
      'invalid_request_error',
      'not-json',
      `expected application/json, found ${type.slice(0, 80)}`,
    );
  }
  const bytes = await readBytes(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(strictUtf8.decode(bytes));
  } catch (error) {
    if (error instanceof TypeError) throw badRequest('bad-utf8', 'expected a body in UTF-8');
    throw badRequest('bad-json', 'expected a body of JSON, found something else');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue!.path.join('.');
  throw badRequest(
    'bad-field',
    path === '' ? issue!.message : `${path}: ${issue!.message}`,
    path || undefined,
  );
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new ApiError(
      413,
      'invalid_request_error',
      'body-too-large',
      `expected a body of at most ${formatBytes(maxBytes)}`,
    );
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
