import { CriaError } from '../base/errors.js';
import { computeThreads } from '../base/processors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import type { ScaledAdapter } from '../convert/lora/adapter.js';
import type { SimdBuild } from '../engine/kernels.js';
import type { RepackMode } from '../quant/packed-layout.js';
import { type CacheType, type CacheTypes, cacheTypes, type ModelPlan, type PlanOptions } from './layout.js';

export interface RuntimeOptions {
  /** Worker threads; default: the physical cores this process may use. */
  readonly threads?: number;
  /** Positions the cache holds of each sequence; 0 for the model's own limit; default: that, at most 8192. */
  readonly contextSize?: number;
  /** Sequences the cache holds; default 1. */
  readonly parallel?: number;
  /** Element type of cached keys and values, of either or both; default f16. */
  readonly cacheType?: CacheType | CacheTypes;
  /** Most tokens of one step; default 512. */
  readonly batchSize?: number;
  /** Build of the kernels; probed for when absent. */
  readonly simd?: SimdBuild;
  /** Largest WebAssembly memory; only tests make it small. */
  readonly arenaLimit?: number;
  /**
   * Bytes of memory for routed experts, which are then read from the GGUF file as they are needed; all weights are
   * loaded when absent.
   */
  readonly cacheExperts?: number;
  /** With `cacheExperts`, read experts that will likely be needed before it is certain; default true. */
  readonly readAhead?: boolean;
  /** How weights are laid out for products with few tokens; default `lean`. Rows of `off` can be replaced. */
  readonly repack?: RepackMode;
  /** Adapters that fit the model (`checkAdapter`), and how much of each a sequence gets unless told otherwise. */
  readonly adapters?: readonly ScaledAdapter[];
  /** Measure the inputs of every weight matrix during evaluation; see `collected`. */
  readonly collect?: boolean;
  /** Told what will take how much memory, before any is taken. */
  readonly onPlan?: (plan: ModelPlan, contextSize: number) => void;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** What a context gets when nobody asked for a size: one attention chunk of the published models. */
const DEFAULT_CONTEXT = 8192;
const MAX_THREADS = 256;
const MAX_SEQUENCES = 256;

/** What a model is planned with: the options, their defaults filled in. Pure. Throws `bad-count`. */
export function planOptions(
  config: Llama4Config,
  options: RuntimeOptions,
  tablesBytes: number,
): PlanOptions & { readonly sequences: number; readonly cacheType: CacheTypes } {
  const contextSize = checkCount(
    'context size',
    options.contextSize === 0
      ? config.contextLength
      : (options.contextSize ?? Math.min(config.contextLength, DEFAULT_CONTEXT)),
    config.contextLength,
  );
  return {
    threads: checkCount('threads', options.threads ?? computeThreads(), MAX_THREADS),
    batchSize: Math.min(checkCount('batch size', options.batchSize ?? 512, 65_536), contextSize),
    contextSize,
    sequences: checkCount('parallel', options.parallel ?? 1, MAX_SEQUENCES),
    cacheType: cacheTypes(options.cacheType ?? 'f16'),
    tablesBytes,
    arenaLimit: options.arenaLimit,
    collect: options.collect,
    repack: options.repack,
    adapters: options.adapters?.map(({ adapter }) => adapter),
    expertCache:
      options.cacheExperts === undefined
        ? undefined
        : { bytes: options.cacheExperts, readAhead: options.readAhead ?? true },
  };
}

function checkCount(what: string, value: number, largest: number): number {
  if (!Number.isInteger(value) || value < 1 || value > largest) {
    throw new CriaError(
      'usage',
      'bad-count',
      `${what} must be a whole number from 1 to ${largest}, found ${value}`,
    );
  }
  return value;
}
