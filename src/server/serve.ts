import type { Hono } from 'hono';
import { chatFormat } from '../chat/index.js';
import { DEFAULT_SAMPLING, type SamplingOptions } from '../generate/index.js';
import type { Model } from '../generate/load-model.js';
import { ContinuousBatch } from '../model/continuous-batch.js';
import { ServerAdapters } from './adapters.js';
import { type AppOptions, createApp } from './app.js';
import { AnswerForms } from './constraints.js';
import type { ServerContext } from './context.js';
import { type HttpServer, startHttpServer } from './http-server.js';
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

/** Serves a model over HTTP. Its sequences are the slots. Throws `port-unavailable` (resources). */
export async function serveModel(model: Model, options: ServeOptions): Promise<HttpServer> {
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
  const server = await startHttpServer(app, options);
  return {
    ...server,
    stop: () => {
      abort.abort();
      return server.stop();
    },
  };
}
