import type { Llama4Config } from '../convert/llama4-config.js';
import { openModel } from '../convert/open-model.js';
import type { SimdBuild } from '../engine/kernels.js';
import type { Metadata, TensorSource } from '../formats/tensor-source.js';
import type { CollectedSquares, CollectingModel } from '../model/collecting-model.js';
import type { ExpertCacheStatistics } from '../model/expert-store.js';
import type { CacheType } from '../model/layout.js';
import { Llama4Runtime } from '../model/llama4-runtime.js';
import type { Outputs } from '../model/token-model.js';
import { type Tokenizer, tokenizerFromGguf } from '../model/tokenizer/index.js';
import { type GeneratedToken, type GenerateOptions, type GenerationSummary, generate } from './generate.js';

export interface LoadOptions {
  /** Worker threads; default: the processors this process may use. */
  readonly threads?: number;
  /** Positions the cache holds; default: the model's own limit, at most 8192. */
  readonly contextSize?: number;
  /** Element type of cached keys and values; default `f16`. */
  readonly kvType?: CacheType;
  /** Most tokens of one step; default 512. */
  readonly batchSize?: number;
  /** Build of the WebAssembly kernels; by default the fastest that works here. */
  readonly simd?: SimdBuild;
  /**
   * Bytes of memory for routed experts, which are then read from the GGUF file as they are needed, so that a model
   * larger than memory runs; all weights are loaded when absent. See `Model.expertCache`.
   */
  readonly cacheExperts?: number;
  /** With `cacheExperts`, read experts that will likely be needed before it is certain; default true. */
  readonly readAhead?: boolean;
  /** Measure the inputs of every weight matrix during evaluation, for calibration; see `Model.collected`. */
  readonly collect?: boolean;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * A Llama 4 model ready to use. It holds one sequence; calls are answered one after another.
 * Without `close` its threads end with the process.
 */
export class Model implements CollectingModel {
  readonly config: Llama4Config;
  readonly tokenizer: Tokenizer;
  readonly metadata: Metadata;
  /** The Jinja template the model came with. */
  readonly chatTemplate: string | undefined;
  readonly #runtime: Llama4Runtime;

  constructor(runtime: Llama4Runtime, metadata: Metadata) {
    this.#runtime = runtime;
    this.config = runtime.config;
    this.metadata = metadata;
    this.tokenizer = tokenizerFromGguf(metadata);
    const template = metadata.get('tokenizer.chat_template');
    this.chatTemplate = template?.type === 'string' ? template.value : undefined;
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

  /** See CollectingModel; empty unless loaded with `collect`. */
  collected(): ReadonlyMap<string, CollectedSquares> {
    return this.#runtime.collected();
  }

  resetCollected(): void {
    this.#runtime.resetCollected();
  }

  close(): Promise<void> {
    return this.#runtime.close();
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
    return await loadFromSource(source, options);
  } finally {
    await source.close();
  }
}

/** As `loadModel`, for a model that is already open; the caller closes the source. */
export async function loadFromSource(source: TensorSource, options: LoadOptions = {}): Promise<Model> {
  const { kvType, ...rest } = options;
  const runtime = await Llama4Runtime.load(source, { ...rest, cacheType: kvType });
  try {
    return new Model(runtime, source.metadata);
  } catch (error) {
    await runtime.close();
    throw error;
  }
}
