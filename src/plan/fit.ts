import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { type CacheTypes, type ModelPlan, type PlanOptions, planModel } from '../model/layout.js';
import { kernelTables } from '../quant/kernel-tables.js';
import type { RepackMode } from '../quant/packed-layout.js';

/** What is asked for; what is left out may be chosen. */
export interface FitRequest {
  readonly contextSize?: number;
  readonly cacheType?: PlanOptions['cacheType'];
  readonly repack?: RepackMode;
  readonly threads: number;
  readonly batchSize: number;
  readonly sequences: number;
  readonly expertCache?: PlanOptions['expertCache'];
  readonly adapters?: PlanOptions['adapters'];
  /** Bytes to be kept for the vision tower. */
  readonly visionBytes?: number;
}

export interface Fitted {
  readonly contextSize: number;
  readonly cacheType: PlanOptions['cacheType'];
  readonly repack: RepackMode;
  readonly neededBytes: number;
}

const EIGHT_BITS: CacheTypes = { keys: 'q8_0', values: 'q8_0' };
/** Below this a chat is hardly possible. */
const SHORTEST_CONTEXT = 2048;

/** Bytes of all memories that a plan makes. */
export function plannedBytes(plan: ModelPlan): number {
  return plan.arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
}

/**
 * Chooses what the request leaves open so that a model takes at most `freeBytes`, giving up as little as possible:
 * first the faster layout of weights, then half of the cache's bits, then context. Pure. Throws `not-enough-memory`
 * (resources), with what would help, when nothing fits.
 */
export function fitModel(
  config: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  request: FitRequest,
  freeBytes: number,
): Fitted {
  const wanted = request.contextSize ?? Math.min(config.contextLength, config.attentionChunkSize || 8192);
  const tablesBytes = kernelTables().length;
  const measure = (choice: Omit<Fitted, 'neededBytes'>): Fitted => {
    const { threads, sequences, expertCache, adapters, visionBytes = 0 } = request;
    const batchSize = Math.min(request.batchSize, choice.contextSize);
    const options = { ...choice, threads, sequences, expertCache, adapters, batchSize, tablesBytes };
    return { ...choice, neededBytes: plannedBytes(planModel(config, tensors, options)) + visionBytes };
  };
  const repacks: RepackMode[] = request.repack ? [request.repack] : ['lean', 'off'];
  const eightBits = config.headDim % 32 === 0 ? [EIGHT_BITS] : [];
  const caches = request.cacheType ? [request.cacheType] : ['f16' as const, ...eightBits];
  const contexts = [wanted];
  if (request.contextSize === undefined) {
    for (let size = wanted / 2; size >= SHORTEST_CONTEXT; size /= 2) contexts.push(Math.floor(size));
  }
  let least: Fitted | undefined;
  for (const contextSize of contexts) {
    for (const cacheType of caches) {
      for (const repack of repacks) {
        const fitted = measure({ contextSize, cacheType, repack });
        if (fitted.neededBytes <= freeBytes) return fitted;
        if (!least || fitted.neededBytes < least.neededBytes) least = fitted;
      }
    }
  }
  throw nothingFits(request, least!, freeBytes);
}

function nothingFits(request: FitRequest, least: Fitted, freeBytes: number): CriaError {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const ways = [
    ...(request.contextSize === undefined ? [] : ['a smaller context (-c)']),
    ...(request.cacheType === undefined ? [] : ['a cache of q8_0 (-ctk q8_0 -ctv q8_0)']),
    ...(request.sequences > 1 ? ['fewer answers at once (-np)'] : []),
    ...(request.expertCache === undefined
      ? ['reading experts from the file as needed (--cache-experts)']
      : []),
    "a smaller quantization ('cria plan' shows which fit)",
  ];
  return new CriaError(
    'resources',
    'not-enough-memory',
    `the model${request.visionBytes ? ' and its vision tower need' : ' needs'} at least ${gib(least.neededBytes)} for ${least.contextSize} tokens of context, and ${gib(freeBytes)} are free: ` +
      `try ${ways.join(', or ')}`,
  );
}
