import { createHash, timingSafeEqual } from 'node:crypto';
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import type { z } from 'zod';
import { chooseAdapters } from './adapters.js';
import { ApiError, toApiError } from './api-error.js';
import { chatCompletions, type Reply } from './chat-completions.js';
import { completions } from './completions.js';
import type { ServerContext } from './context.js';
import { embeddings } from './embeddings.js';
import { eventStream } from './event-stream.js';
import { openApiDocument } from './openapi.js';
import { readBody } from './read-body.js';
import {
  applyTemplateRequest,
  chatCompletionRequest,
  completionRequest,
  detokenizeRequest,
  embeddingsRequest,
  loraAdaptersRequest,
  tokenizeRequest,
} from './schemas.js';
import { applyTemplate, detokenize, models, props, tokenize } from './text-endpoints.js';

export interface AppOptions {
  /** Keys of which requests have to bring one; none: everybody may ask. */
  readonly apiKeys: readonly string[];
  /** Origins of pages that may ask from a browser; none by default. */
  readonly corsOrigins: readonly string[];
  readonly maxBodyBytes: number;
  /** Aborted when the server stops at once. */
  readonly stop: AbortSignal;
  /** Told of defects, which clients are not. */
  readonly onError: (error: unknown) => void;
}

/** Paths that answer without a key: what load balancers ask for, and the page, which asks its reader for one. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/v1/health', '/', '/openapi.json']);
const OPEN_FOLDER = '/assets/';

type Handler<T extends z.ZodType> = (
  body: z.infer<T>,
  context: ServerContext,
  signal: AbortSignal,
) => Promise<Reply> | Promise<object> | object;

/** The HTTP interface as a function from requests to responses; `page` adds the routes of the web page. */
export function createApp(context: ServerContext, options: AppOptions, page?: (app: Hono) => void): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header('x-content-type-options', 'nosniff');
    context.metrics.requests.inc({ path: knownPath(app, c.req.path), status: String(c.res.status) });
  });
  if (options.corsOrigins.length > 0) app.use(cors({ origin: [...options.corsOrigins] }));
  if (options.apiKeys.length > 0) app.use(requireKey(options.apiKeys));

  const post = <T extends z.ZodType>(paths: readonly string[], schema: T, handler: Handler<T>) => {
    app.on('POST', [...paths], async (c) => {
      const signal = AbortSignal.any([c.req.raw.signal, options.stop]);
      const body = await readBody(c.req.raw, schema, options.maxBodyBytes);
      return reply(await handler(body, context, signal), options);
    });
  };
  post(['/v1/chat/completions', '/chat/completions'], chatCompletionRequest, chatCompletions);
  post(['/v1/completions', '/completions'], completionRequest, completions);
  post(['/v1/embeddings', '/embeddings'], embeddingsRequest, embeddings);
  post(['/tokenize'], tokenizeRequest, tokenize);
  post(['/detokenize'], detokenizeRequest, detokenize);
  post(['/lora-adapters'], loraAdaptersRequest, chooseAdapters);
  post(['/apply-template'], applyTemplateRequest, applyTemplate);

  for (const path of ['/v1/models', '/models']) app.get(path, (c) => c.json(models(context)));
  for (const path of ['/health', '/v1/health']) app.get(path, (c) => c.json({ status: 'ok' }));
  app.get('/lora-adapters', (c) => c.json(context.adapters.list()));
  app.get('/props', (c) => c.json(props(context)));
  app.get('/openapi.json', (c) => c.json(openApiDocument()));
  app.get('/metrics', async (c) => {
    const { registry } = context.metrics;
    return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
  });
  page?.(app);

  app.notFound((c) => {
    const known = app.routes.some(({ path, method }) => path === c.req.path && method !== 'ALL');
    const error = known
      ? new ApiError(
          405,
          'invalid_request_error',
          'wrong-method',
          `${c.req.path} does not take ${c.req.method}`,
        )
      : new ApiError(
          404,
          'not_found_error',
          'no-such-path',
          `there is nothing at ${c.req.path.slice(0, 200)}`,
        );
    return errorResponse(error);
  });
  app.onError((error) => errorResponse(error, options));
  return app;
}

async function reply(result: Reply | object, options: AppOptions): Promise<Response> {
  if (!('kind' in result)) return Response.json(result);
  const answer = result as Reply;
  if (answer.kind === 'json') return Response.json(answer.body);
  // What goes wrong before the first event still has a status of its own.
  const first = await answer.data.next();
  const errorData = (error: unknown) => JSON.stringify(report(error, options).toBody());
  return new Response(eventStream(startingWith(first, answer.data), errorData), {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' },
  });
}

async function* startingWith(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void, void>,
): AsyncGenerator<string, void, void> {
  try {
    if (first.done) return;
    yield first.value;
    yield* rest;
  } finally {
    await rest.return();
  }
}

function report(error: unknown, { onError }: Pick<AppOptions, 'onError'>): ApiError {
  const answer = toApiError(error);
  if (answer.status >= 500 && answer.code === 'internal') onError(error);
  return answer;
}

function errorResponse(error: unknown, options?: AppOptions): Response {
  const answer = options ? report(error, options) : toApiError(error);
  const headers = answer.retryAfter === undefined ? undefined : { 'retry-after': String(answer.retryAfter) };
  return Response.json(answer.toBody(), { status: answer.status, ...(headers && { headers }) });
}

/** Refuses requests without one of the keys. Keys are compared by digest, in the same time whatever they are. */
function requireKey(keys: readonly string[]) {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const digests = keys.map(digest);
  return async (c: Context, next: () => Promise<void>) => {
    const { path, method } = c.req;
    if (OPEN_PATHS.has(path) || path.startsWith(OPEN_FOLDER) || method === 'OPTIONS') return next();
    const given = digest(
      /^Bearer\s+(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? c.req.header('x-api-key') ?? '',
    );
    const matches = digests.map((known) => timingSafeEqual(known, given));
    if (matches.includes(true)) return next();
    const message = 'expected an API key: Authorization: Bearer KEY';
    return errorResponse(new ApiError(401, 'authentication_error', 'invalid_api_key', message));
  };
}

/** A path that exists, for counting; anything else counts as one. */
function knownPath(app: Hono, path: string): string {
  return app.routes.some((route) => route.path === path && route.method !== 'ALL') ? path : 'other';
}
