import { stat } from 'node:fs/promises';
import { freemem } from 'node:os';
import { CriaError } from '../base/errors.js';
import { computeThreads } from '../base/processors.js';
import { configFromMetadata, type Llama4Config } from '../convert/llama4-config.js';
import type { AdapterFile, ScaledAdapter } from '../convert/lora/adapter.js';
import { openAdaptersFor } from '../convert/lora/open-adapter.js';
import { openModel } from '../convert/open-model.js';
import type { SimdBuild } from '../engine/kernels.js';
import type { Metadata, TensorSource } from '../formats/tensor-source.js';
import type { CollectedSquares, CollectingModel } from '../model/collecting-model.js';
import type { ExpertCacheStatistics } from '../model/expert-store.js';
import type { CacheType, CacheTypes, ModelPlan } from '../model/layout.js';
import { Llama4Runtime } from '../model/llama4-runtime.js';
import type { SequenceModel, SequencePart } from '../model/sequence-model.js';
import { restoreSession, saveSession } from '../model/session-file.js';
import type { Outputs } from '../model/token-model.js';
import { type Tokenizer, tokenizerFromGguf } from '../model/tokenizer/index.js';
import { fitModel } from '../plan/fit.js';
import type { RepackMode } from '../quant/packed-layout.js';
import { type GeneratedToken, type GenerateOptions, type GenerationSummary, generate } from './generate.js';
import {
  type EncodedImage,
  type EncodeImageOptions,
  ImageEncoder,
  measureTower,
  openTower,
} from './image-encoder.js';

export type { AdapterFile } from '../convert/lora/adapter.js';
export type { EncodedImage, EncodeImageOptions } from './image-encoder.js';

export interface LoadOptions {
  /** Worker threads; default: the physical cores this process may use. */
  readonly threads?: number;
  /** Positions the cache holds of each sequence; 0 for the model's own limit; default: that, at most 8192. */
  readonly contextSize?: number;
  /** Sequences the cache holds, which `evaluateBatch` computes together; default 1. */
  readonly parallel?: number;
  /** Element type of cached keys and values, of either or both; default `f16`. */
  readonly kvType?: CacheType | CacheTypes;
  /** Most tokens of one step; default 512. */
  readonly batchSize?: number;
  /** Build of the WebAssembly kernels; by default the fastest that works here. */
  readonly simd?: SimdBuild;
  /**
   * How weights are laid out in memory: `lean` (default) for speed within 15 % more than the file's bytes, `full` for
   * more speed where a type can trade memory for it, `off` as in the file, which is the slowest.
   */
  readonly repack?: RepackMode;
  /**
   * Bytes of memory for routed experts, which are then read from the GGUF file as they are needed, so that a model
   * larger than memory runs; all weights are loaded when absent. See `Model.expertCache`.
   */
  readonly cacheExperts?: number;
  /** With `cacheExperts`, read experts that will likely be needed before it is certain; default true. */
  readonly readAhead?: boolean;
  /** LoRA adapters, which change the model's answers while its weights stay as they are. */
  readonly adapters?: readonly AdapterFile[];
  /** Told what may be wrong though loading goes on: an adapter that was trained on another model. */
  readonly onWarning?: (message: string) => void;
  /** Measure the inputs of every weight matrix during evaluation, for calibration; see `Model.collected`. */
  readonly collect?: boolean;
  /**
   * The model's vision tower: an mmproj GGUF or a checkpoint folder. By default the model's own where it is loaded
   * from a folder that has one, none otherwise.
   */
  readonly mmproj?: string;
  /**
   * Choose what is left open among context, type of the cache and layout of weights so that all of it fits the memory
   * that is free; default false. Throws `not-enough-memory` when nothing does.
   */
  readonly fit?: boolean;
  /** Told what will take how much memory, before any is taken; `describeMemory` puts it in words. */
  readonly onPlan?: (plan: ModelPlan, contextSize: number) => void;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * A Llama 4 model ready to use. Calls are answered one after another; those without a sequence are about sequence 0.
 * Without `close` its threads end with the process.
 */
export class Model implements CollectingModel, SequenceModel {
  readonly config: Llama4Config;
  readonly tokenizer: Tokenizer;
  readonly metadata: Metadata;
  /** The Jinja template the model came with. */
  readonly chatTemplate: string | undefined;
  /** The adapters it was loaded with, and the scales they had then. */
  readonly adapters: readonly Required<AdapterFile>[];
  readonly #runtime: Llama4Runtime;
  readonly #images: ImageEncoder | undefined;

  /** @param vision where the vision tower is and what kernels run it */
  constructor(
    runtime: Llama4Runtime,
    metadata: Metadata,
    vision?: { readonly path: string; readonly simd?: SimdBuild },
    adapters: readonly Required<AdapterFile>[] = [],
  ) {
    this.#runtime = runtime;
    this.config = runtime.config;
    this.adapters = adapters;
    this.metadata = metadata;
    this.tokenizer = tokenizerFromGguf(metadata);
    const template = metadata.get('tokenizer.chat_template');
    this.chatTemplate = template?.type === 'string' ? template.value : undefined;
    if (vision) {
      this.#images = new ImageEncoder(vision.path, {
        embeddingLength: this.config.embeddingLength,
        embeddings: runtime.embeddings,
        tokenizer: this.tokenizer,
        threads: runtime.threads,
        simd: vision.simd,
      });
    }
  }

  get vocabSize(): number {
    return this.#runtime.vocabSize;
  }

  get contextSize(): number {
    return this.#runtime.contextSize;
  }

  get threads(): number {
    return this.#runtime.threads;
  }

  /** Planned memory in bytes: weights, room for cached experts, cache (taken only as it fills), everything else. */
  get memory(): Llama4Runtime['bytes'] {
    return this.#runtime.bytes;
  }

  /** What reading experts as needed came to so far; undefined unless loaded with `cacheExperts`. */
  get expertCache(): ExpertCacheStatistics | undefined {
    return this.#runtime.expertCache;
  }

  evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    return this.#runtime.evaluate(tokens, position, outputs, signal);
  }

  /** An embedding of a text: the mean of the last layer's output over its tokens; see Llama4Runtime. */
  embed(tokens: ArrayLike<number>, sequence?: number, signal?: AbortSignal): Promise<Float32Array> {
    return this.#runtime.embed(tokens, sequence, signal);
  }

  get sequences(): number {
    return this.#runtime.sequences;
  }

  evaluateBatch(parts: readonly SequencePart[], signal?: AbortSignal): Promise<Float32Array[]> {
    return this.#runtime.evaluateBatch(parts, signal);
  }

  cachedTokens(sequence: number): Int32Array {
    return this.#runtime.cachedTokens(sequence);
  }

  /** How much of each loaded adapter a sequence gets, in the order of `LoadOptions.adapters`. */
  adapterScales(sequence = 0): readonly number[] {
    return this.#runtime.adapterScales(sequence);
  }

  /** Changes that, from the sequence's next evaluation on; see Llama4Runtime. */
  setAdapterScales(scales: readonly number[], sequence = 0): Promise<void> {
    return this.#runtime.setAdapterScales(sequence, scales);
  }

  /** See saveSession of src/model/session-file.ts; `model` is the model's sampledFingerprint. */
  saveSession(path: string, model: string, sequence = 0): Promise<number> {
    return saveSession(this.#runtime, path, model, sequence);
  }

  /** See restoreSession of src/model/session-file.ts. */
  restoreSession(path: string, model: string, sequence = 0): Promise<number> {
    return restoreSession(this.#runtime, path, model, sequence);
  }

  /** Tokens computed so far, whatever for. */
  get evaluatedTokens(): number {
    return this.#runtime.evaluatedTokens;
  }

  /**
   * Runs `ids` from an empty cache and returns the logits `[positions, vocabSize]` at the last one, all, or the given
   * ascending positions. Throws kind `usage`: `context-full`, `bad-token`, `bad-output-position`.
   */
  logits(
    ids: ArrayLike<number>,
    options: { positions?: Exclude<Outputs, 'none'> } = {},
  ): Promise<Float32Array> {
    return this.#runtime.evaluate(ids, 0, options.positions ?? 'last');
  }

  /** Continues a prompt; see `generate` for the options and what it throws. */
  generate(
    ids: readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedToken, GenerationSummary, void> {
    return generate(this, this.tokenizer, ids, options);
  }

  /** Whether the model has a vision tower, and so takes pictures. */
  get hasVision(): boolean {
    return this.#images !== undefined;
  }

  /**
   * A PNG, JPEG, WebP or GIF file (its bytes) as tokens for a prompt: an `ImagePart`'s image, or `ids` in place. The
   * tower is loaded with the first picture; the same bytes again cost nothing. A picture is held until pictures of
   * twice the context have come after it; then it has to be encoded again (`evaluate` throws `unknown-picture`).
   * Throws `no-mmproj` (usage) without a tower, what `decodePicture` throws, `not-enough-memory`, `cancelled`.
   */
  async encodeImage(bytes: Uint8Array, options: EncodeImageOptions = {}): Promise<EncodedImage> {
    if (!this.#images) throw noVision();
    return this.#images.encode(bytes, options);
  }

  /** See CollectingModel; empty unless loaded with `collect`. */
  collected(): ReadonlyMap<string, CollectedSquares> {
    return this.#runtime.collected();
  }

  resetCollected(): void {
    this.#runtime.resetCollected();
  }

  async close(): Promise<void> {
    await this.#images?.close();
    await this.#runtime.close();
  }
}

/**
 * Loads a model from a GGUF file, the first part of a split one, or a checkpoint folder.
 *
 * @example
 * const model = await loadModel('scout.gguf', { threads: 8, contextSize: 4096 });
 * for await (const { text } of model.generate(model.tokenizer.encode('Once', { addBos: true }))) {
 *   process.stdout.write(text);
 * }
 * await model.close();
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const source = await openModel(path);
  try {
    const mmproj = options.mmproj ?? (await ownTower(path, source));
    return await loadFromSource(source, { ...options, mmproj });
  } finally {
    await source.close();
  }
}

/** As `loadModel`, for a model that is already open; the caller closes the source. */
export async function loadFromSource(source: TensorSource, options: LoadOptions = {}): Promise<Model> {
  const { kvType, mmproj, fit, adapters: files = [], ...rest } = options;
  // The wrong tower is better known before a large model is loaded than after.
  const threads = options.threads ?? computeThreads();
  const tower = mmproj === undefined ? undefined : await measureTower(mmproj, textWidth(source), threads);
  const adapters = await openAdaptersFor(source, files, options.onWarning);
  let runtime: Llama4Runtime;
  try {
    const fitted = fit ? fitToMemory(source, { ...options, threads }, adapters, tower?.memory) : {};
    runtime = await Llama4Runtime.load(source, { ...rest, adapters, cacheType: kvType, ...fitted });
  } finally {
    await Promise.all(adapters.map(({ adapter }) => adapter.close()));
  }
  try {
    const vision = mmproj === undefined ? undefined : { path: mmproj, simd: options.simd };
    const loaded = files.map(({ path, scale = 1 }) => ({ path, scale }));
    return new Model(runtime, source.metadata, vision, loaded);
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

function fitToMemory(
  source: TensorSource,
  options: LoadOptions & { readonly threads: number },
  adapters: readonly ScaledAdapter[],
  visionBytes?: number,
) {
  const config = configFromMetadata(source.metadata, source.tensors);
  const { contextSize, cacheExperts, readAhead = true } = options;
  // Loading refuses it, by name.
  if (contextSize !== undefined && contextSize > config.contextLength) return {};
  const { cacheType, repack, ...fitted } = fitModel(
    config,
    source.tensors,
    {
      contextSize: contextSize === 0 ? config.contextLength : contextSize,
      cacheType: options.kvType,
      repack: options.repack,
      threads: options.threads,
      batchSize: options.batchSize ?? 512,
      sequences: options.parallel ?? 1,
      adapters: adapters.map(({ adapter }) => adapter),
      expertCache: cacheExperts === undefined ? undefined : { bytes: cacheExperts, readAhead },
      visionBytes,
    },
    freemem(),
  );
  return { cacheType, repack, contextSize: fitted.contextSize };
}

/** The error for pictures where there is no vision tower. */
export function noVision(): CriaError {
  const message =
    'pictures need the vision tower of the model: expected its mmproj file (--mmproj), found none';
  return new CriaError('usage', 'no-mmproj', message);
}

/** The checkpoint folder a model is loaded from, when it has a vision tower, too. */
async function ownTower(path: string, source: TensorSource): Promise<string | undefined> {
  if (!(await stat(path)).isDirectory()) return undefined;
  try {
    await (await openTower(path, textWidth(source))).close();
    return path;
  } catch (error) {
    // Whatever is wrong with its tower, the folder's text model can be used.
    if (error instanceof CriaError && error.kind !== 'internal') return undefined;
    throw error;
  }
}

function textWidth(source: TensorSource): number {
  return configFromMetadata(source.metadata, source.tensors).embeddingLength;
}
