import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { CriaError } from '../base/errors.js';
import { chatFormat } from '../chat/index.js';
import { DEFAULT_SAMPLING, type SamplingOptions } from '../generate/index.js';
import type { Model } from '../generate/load-model.js';
import { ContinuousBatch } from '../model/continuous-batch.js';
import { ServerAdapters } from './adapters.js';
import { type AppOptions, createApp } from './app.js';
import { AnswerForms } from './constraints.js';
import type { ServerContext } from './context.js';
import type { ImagePolicy } from './image-source.js';
import { Metrics } from './metrics.js';
import { SlotPool } from './slots.js';

export interface ServeOptions extends Omit<AppOptions, 'stop'> {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly modelName: string;
  /** Jinja template in place of the model's own. */
  readonly template?: string;
  readonly sampling?: SamplingOptions;
  readonly images: ImagePolicy;
  /** Requests that may wait for a slot. */
  readonly queueLimit: number;
  /** Tokens of a step, as the model was loaded with. */
  readonly batchSize: number;
  /** Adds the routes of the web page. */
  readonly page?: (app: Hono) => void;
}

export interface RunningServer {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Takes no more requests, and resolves when those under way are answered. */
  drain(): Promise<void>;
  /** Ends everything now. */
  stop(): Promise<void>;
}

/** A body has this long to arrive, and headers half of it: slow senders must not hold connections. */
const REQUEST_MILLISECONDS = 60_000;

/** Serves a model over HTTP. Its sequences are the slots. Throws `port-unavailable` (resources). */
export async function serveModel(model: Model, options: ServeOptions): Promise<RunningServer> {
  const batch = new ContinuousBatch(model, options.batchSize);
  const slots = new SlotPool(model, {
    queueLimit: options.queueLimit,
    view: (sequence) => batch.sequence(sequence),
  });
  const metrics = new Metrics();
  metrics.watch(slots);
  const context: ServerContext = {
    modelName: options.modelName,
    model,
    format: chatFormat(model, options.template),
    forms: new AnswerForms(model.tokenizer),
    slots,
    adapters: new ServerAdapters(model),
    metrics,
    sampling: { ...DEFAULT_SAMPLING, ...options.sampling },
    images: options.images,
    created: Math.floor(Date.now() / 1000),
  };
  const abort = new AbortController();
  const app = createApp(context, { ...options, stop: abort.signal }, options.page);
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { requestTimeout: REQUEST_MILLISECONDS, headersTimeout: REQUEST_MILLISECONDS / 2 },
    (request, response) => void listener(request, response),
  );
  await listen(server, options);
  const { address, port, family } = server.address() as AddressInfo;
  const closed = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    drain: closed,
    stop: async () => {
      abort.abort();
      const done = closed();
      server.closeAllConnections();
      await done;
    },
  };
}

function listen(server: Server, { host, port }: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'it is in use: choose another with --port' : error.message;
      reject(new CriaError('resources', 'port-unavailable', `cannot listen on ${host}:${port}: ${why}`));
    });
    server.listen(port, host, () => resolve());
  });
}
