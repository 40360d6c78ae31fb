import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import { ARENA_LIMIT, type ArenaPlan } from '../engine/arena-plan.js';
import {
  ATTENTION_TOKENS,
  type LayerCache,
  partialRoom,
  SEGMENT_POSITIONS,
  segmentLength,
} from '../engine/attention.js';
import type { Staging } from '../engine/buffers.js';
import type { InputSquares } from '../engine/matrix.js';
import { laneScratchBytes } from '../engine/operations.js';
import { ACTIVATION_GROUP, BYTE_BLOCK, laneRows, WORD_BLOCK } from '../engine/products.js';
import { ggmlType, parseGgmlType, rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { PANEL_ROWS, type RepackMode } from '../quant/packed-layout.js';
import { type AdapterLayout, adapterWidth, type PlannedAdapter, planAdapters } from './adapter-plan.js';
import {
  type ExpertCacheLayout,
  type ExpertCacheRequest,
  type ExpertLayer,
  planExpertCache,
} from './expert-cache-plan.js';
import { LayoutBuilder, type Placement } from './layout-builder.js';
import {
  type ActivationBuffers,
  type NetworkLayer,
  type NetworkLayout,
  planEnds,
  planLayer,
} from './network-layout.js';

/** Element types of cached keys and values, as llama.cpp spells them. */
export const CACHE_TYPES = ['f32', 'f16', 'q8_0'] as const;
export type CacheType = (typeof CACHE_TYPES)[number];

/** Where keys and values differ. */
export interface CacheTypes {
  readonly keys: CacheType;
  readonly values: CacheType;
}

export interface LayerLayout extends NetworkLayer {
  readonly cache: LayerCache;
}

/** Where everything of a loaded model is; the same in every worker, and structured-cloneable. */
export interface ModelLayout extends NetworkLayout {
  readonly batchSize: number;
  /** Rows of logits one step can compute. */
  readonly maxOutputs: number;
  /** Measures the input of `output` at every position, whether or not its logits are wanted. */
  readonly outputSquares?: InputSquares;
  readonly layers: readonly LayerLayout[];
  readonly staging: Staging;
  /** Present when routed experts are read as needed; their matrices then have no addresses. */
  readonly expertCache?: ExpertCacheLayout;
  /** Present when adapters are loaded. */
  readonly adapters?: AdapterLayout;
}

export interface ModelPlan {
  readonly layout: ModelLayout;
  readonly arenas: ArenaPlan;
  /** What to read from the file, and to where. Vectors are stored as F32. */
  readonly matrices: readonly Placement[];
  readonly vectors: readonly { readonly info: TensorInfo; readonly offset: number }[];
  /** By tensor name; empty unless `collect`. */
  readonly inputSquares: ReadonlyMap<string, InputSquares>;
  /** Addresses of the arenas' common blocks. */
  readonly tables: number;
  readonly scratch: number;
  readonly scratchBytes: number;
  /** Room, at the same address in every arena, that is free while the model is loaded: see loadWeights. */
  readonly loading: { readonly offset: number; readonly bytes: number };
  readonly bytes: {
    /** As they are laid out, without routed experts that are read as needed. */
    readonly weights: number;
    /** Slots for those. */
    readonly expertCache: number;
    readonly cache: number;
    readonly compute: number;
  };
}

export interface PlanOptions {
  readonly threads: number;
  readonly batchSize: number;
  /** Positions of each sequence. */
  readonly contextSize: number;
  /** Sequences the cache holds; default 1. */
  readonly sequences?: number;
  readonly cacheType: CacheType | CacheTypes;
  readonly tablesBytes: number;
  /** Make room to measure the inputs of every matrix. */
  readonly collect?: boolean;
  /** How matrices that are only multiplied with are laid out; default `lean`. */
  readonly repack?: RepackMode;
  /** Room for routed experts, which are then read as needed; all of them have a place when absent. */
  readonly expertCache?: ExpertCacheRequest;
  /** Adapters, which fit the model. */
  readonly adapters?: readonly PlannedAdapter[];
  /** Largest arena; only tests make it small. */
  readonly arenaLimit?: number;
}

/** Parts of the room for loading, each for one read at a time. */
export const LOADING_SLOTS = 4;

/** Logits of one step stay below this, whatever the vocabulary. */
const MAX_LOGITS_BYTES = 64 * 2 ** 20;

/** What the number of cached positions depends on. */
export type CacheShape = Pick<Llama4Config, 'ropeLayers' | 'attentionChunkSize'>;

/** Positions of a layer's attention chunk; 0 for layers that see everything. */
export function chunkOf(config: CacheShape, layer: number): number {
  return config.ropeLayers[layer]! ? config.attentionChunkSize : 0;
}

/** Positions a layer's cache holds: one chunk for chunked layers, the whole context for the others. Pure. */
export function cacheCapacity(config: CacheShape, layer: number, contextSize: number): number {
  const chunk = chunkOf(config, layer);
  return chunk > 0 ? Math.min(contextSize, chunk) : contextSize;
}

/** The types of keys and values that a choice of one or both means. */
export function cacheTypes(choice: CacheType | CacheTypes): CacheTypes {
  return typeof choice === 'string' ? { keys: choice, values: choice } : choice;
}

function cacheTypeId(type: CacheType): number {
  return ggmlType(parseGgmlType(type)).id;
}

/** Bytes of one head at one position. Throws `bad-cache-type` where the type's blocks do not divide a head. */
export function cacheRowBytes(type: CacheType, headDim: number): number {
  const name = parseGgmlType(type);
  const { blockSize } = ggmlType(name);
  if (headDim % blockSize !== 0) {
    throw new CriaError(
      'unsupported',
      'bad-cache-type',
      `a cache of type ${type} needs heads of a multiple of ${blockSize} values, this model's have ${headDim}`,
    );
  }
  return rowBytes(name, headDim);
}

/**
 * Decides where each weight, cache and buffer of a Llama 4 text model goes. Pure: needs the tensors' names, types
 * and shapes, not their bytes. Throws `missing-tensor` and `bad-tensor-shape` for files that do not hold the
 * network their metadata describe.
 */
export function planModel(
  config: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  options: PlanOptions,
): ModelPlan {
  const { batchSize, contextSize, sequences = 1 } = options;
  const { embeddingLength: width, headDim, headCount, headCountKv, expertCount, vocabSize } = config;
  const qWidth = headCount * headDim;
  const kvWidth = headCountKv * headDim;

  const builder = new LayoutBuilder(tensors, options.collect ?? false, options.repack ?? 'lean');

  let cacheBytes = 0;
  const { keys, values } = cacheTypes(options.cacheType);
  const keyBytes = cacheRowBytes(keys, headDim);
  const valueBytes = cacheRowBytes(values, headDim);
  const cache = (capacity: number): LayerCache => {
    const segments = Math.ceil(capacity / SEGMENT_POSITIONS);
    const bytes = Array.from(
      { length: segments },
      (_, i) => segmentLength(capacity, i) * (keyBytes + valueBytes),
    );
    cacheBytes += sequences * headCountKv * capacity * (keyBytes + valueBytes);
    return {
      keyType: cacheTypeId(keys),
      valueType: cacheTypeId(values),
      keyBytes,
      valueBytes,
      headDim,
      capacity,
      heads: Array.from({ length: sequences }, () =>
        Array.from({ length: headCountKv }, () => builder.pieces(1, bytes)),
      ),
    };
  };

  const { tokenEmbedding, output, outputNorm } = planEnds(config, tensors, builder);
  const outputSquares = builder.squares(width);
  if (outputSquares) builder.inputSquares.set(output.name, outputSquares);

  const expertLayers: ExpertLayer[] = [];
  const layers = config.ropeLayers.map((_, i) => {
    const { layer, expertMatrices } = planLayer(config, i, builder, options.expertCache === undefined);
    if (expertMatrices) expertLayers.push({ layer: i, matrices: expertMatrices });
    return { layer, cache: cache(cacheCapacity(config, i, contextSize)) };
  });

  const expertCache =
    options.expertCache && planExpertCache(expertLayers, config, options.expertCache, batchSize, builder);

  const innerWidth = Math.max(
    ...config.moeLayers.map((moe) => (moe ? config.expertFeedForwardLength : config.feedForwardLength)),
  );
  const expertRows = batchSize * Math.max(1, config.expertUsedCount);
  const maxOutputs = Math.max(1, Math.min(batchSize, Math.floor(MAX_LOGITS_BYTES / (4 * vocabSize))));

  const buffers: ActivationBuffers = {
    hidden: builder.buffer(batchSize, width),
    normed: builder.buffer(batchSize, width),
    q: builder.buffer(batchSize, qWidth),
    k: builder.buffer(batchSize, kvWidth),
    v: builder.buffer(batchSize, kvWidth),
    attended: builder.buffer(batchSize, qWidth),
    angles: builder.buffer(batchSize, headDim),
    routerLogits: builder.buffer(batchSize, expertCount),
    expertInput: builder.buffer(expertRows, width),
    expertOutput: builder.buffer(expertRows, width),
    gate: builder.buffer(expertRows, innerWidth),
    up: builder.buffer(expertRows, innerWidth),
    logits: builder.buffer(maxOutputs, vocabSize),
  };

  const loaded = options.adapters ?? [];
  const homeBytes = (options.arenaLimit ?? ARENA_LIMIT) / 4;
  const adapters =
    loaded.length > 0
      ? planAdapters({ adapters: loaded, sequences, rows: expertRows, homeBytes }, builder)
      : undefined;

  const widest = Math.max(width, qWidth, innerWidth, adapterWidth(loaded));
  const staged = expertRows * widest;
  const { threads } = options;
  const headsPerKv = headCount / headCountKv;
  const scratchBytes = Math.ceil(laneScratchBytes(widest, headDim, headsPerKv) / 64) * 64;
  const laneOutputBytes =
    4 *
    Math.max(
      expertRows * laneRows(widest, threads),
      maxOutputs * laneRows(vocabSize, threads),
      Math.min(ATTENTION_TOKENS, batchSize) * headsPerKv * headDim,
    );
  const loadingBytes = LOADING_SLOTS * PANEL_ROWS * builder.widestPackedRow;
  const partialBytes = partialRoom(headsPerKv, headDim);
  const common = [
    options.tablesBytes,
    scratchBytes * threads,
    staged * 4,
    (staged / ACTIVATION_GROUP) * BYTE_BLOCK,
    (staged / ACTIVATION_GROUP) * WORD_BLOCK,
    Math.max(laneOutputBytes * threads, loadingBytes),
    partialBytes,
  ];

  const arenas = builder.settle(common, options.arenaLimit);
  const [tables, scratch, x, byteBlocks, wordBlocks, y, partials] = arenas.common as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const weights = builder.weightBytes;
  const expertCacheBytes = expertCache?.bytes ?? 0;
  const total = arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
  return {
    layout: {
      config,
      batchSize,
      maxOutputs,
      tokenEmbedding,
      outputNorm: outputNorm.offset,
      output,
      outputSquares,
      layers: layers.map(({ layer, cache }) => ({ ...layer(), cache })),
      buffers,
      staging: { x, byteBlocks, wordBlocks, y, laneOutputBytes, partials, partialBytes },
      expertCache: expertCache?.layout,
      adapters,
    },
    arenas,
    matrices: builder.matrices,
    vectors: builder.vectors,
    inputSquares: builder.inputSquares,
    tables,
    scratch,
    scratchBytes,
    // Activations on their way between arenas have the blocks from `x` to `partials`, and none while loading.
    loading: { offset: x, bytes: partials - x },
    bytes: {
      weights,
      expertCache: expertCacheBytes,
      cache: cacheBytes,
      compute: total - weights - expertCacheBytes - cacheBytes,
    },
  };
}
