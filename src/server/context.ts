import type { ChatFormat } from '../chat/index.js';
import type { SamplingOptions } from '../generate/index.js';
import type { Model } from '../generate/load-model.js';
import type { ServerAdapters } from './adapters.js';
import type { AnswerForms } from './constraints.js';
import type { ImagePolicy } from './image-source.js';
import type { Metrics } from './metrics.js';
import type { SlotPool } from './slots.js';

/** What every endpoint works with. */
export interface ServerContext {
  /** The model's name in answers. */
  readonly modelName: string;
  readonly model: Model;
  readonly format: ChatFormat;
  readonly forms: AnswerForms;
  readonly slots: SlotPool;
  readonly adapters: ServerAdapters;
  readonly metrics: Metrics;
  /** Sampling of requests that leave it open. */
  readonly sampling: SamplingOptions;
  readonly images: ImagePolicy;
  /** Seconds since 1970 when the server started. */
  readonly created: number;
}
