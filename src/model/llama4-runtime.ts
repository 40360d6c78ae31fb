import { createRequire } from 'node:module';
import { availableParallelism, freemem } from 'node:os';
import { CriaError } from '../base/errors.js';
import { configFromMetadata, type Llama4Config } from '../convert/llama4-config.js';
import { createArenas } from '../engine/arena-memories.js';
import { compileKernels, type SimdBuild } from '../engine/kernels.js';
import type { InputSquares } from '../engine/matrix.js';
import { ThreadPool } from '../engine/thread-pool.js';
import { rowCount, type TensorSource } from '../formats/tensor-source.js';
import { kernelTables } from '../quant/kernel-tables.js';
import type { CollectedSquares, CollectingModel } from './collecting-model.js';
import { EmbeddingRows } from './embedding-rows.js';
import { type ExpertCacheStatistics, ExpertStore } from './expert-store.js';
import { type CacheType, type ModelLayout, type ModelPlan, planModel } from './layout.js';
import type { Placement } from './layout-builder.js';
import { COMMAND, commandWords, type ProgramInit } from './llama4-program.js';
import { loadWeights, readVector } from './load-weights.js';
import { checkMemory } from './memory-check.js';
import type { Outputs } from './token-model.js';

const require = createRequire(import.meta.url);

export interface RuntimeOptions {
  /** Worker threads; default: the processors this process may use. */
  readonly threads?: number;
  /** Positions the cache holds; default: the model's own limit, at most 8192. */
  readonly contextSize?: number;
  /** Element type of cached keys and values; default f16. */
  readonly cacheType?: CacheType;
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
  /** Measure the inputs of every weight matrix during evaluation; see `collected`. */
  readonly collect?: boolean;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** What a context gets when nobody asked for a size: one attention chunk of the published models. */
const DEFAULT_CONTEXT = 8192;
const MAX_THREADS = 256;

/**
 * A Llama 4 text model in memory: weights and cache in shared WebAssembly memories, one step at a time on worker
 * threads. Holds one sequence.
 */
export class Llama4Runtime implements CollectingModel {
  readonly config: Llama4Config;
  readonly contextSize: number;
  readonly threads: number;
  /** Planned bytes: weights, room for experts that are read as needed, cache (touched only as it fills), and everything else. */
  readonly bytes: ModelPlan['bytes'];
  readonly #layout: ModelLayout;
  readonly #pool: ThreadPool;
  readonly #home: Float32Array;
  readonly #inputSquares: ModelPlan['inputSquares'];
  readonly #arenas: readonly Uint8Array[];
  readonly #matrices: ReadonlyMap<string, Placement>;
  readonly #experts: ExpertStore | undefined;
  /** Tokens at the cached positions, for going back past a chunk border. */
  readonly #history: Int32Array;
  readonly #embeddings: EmbeddingRows;
  #cached = 0;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    plan: ModelPlan,
    pool: ThreadPool,
    arenas: readonly Uint8Array[],
    contextSize: number,
    threads: number,
    experts: ExpertStore | undefined,
  ) {
    this.config = plan.layout.config;
    this.bytes = plan.bytes;
    this.contextSize = contextSize;
    this.threads = threads;
    this.#layout = plan.layout;
    this.#pool = pool;
    this.#arenas = arenas;
    this.#home = new Float32Array(arenas[0]!.buffer);
    this.#inputSquares = plan.inputSquares;
    this.#matrices = new Map(plan.matrices.map((placement) => [placement.info.name, placement]));
    this.#history = new Int32Array(contextSize);
    // What is cached and the prompt that comes next may both be pictures from end to end.
    this.#embeddings = new EmbeddingRows(this.config.embeddingLength, 2 * contextSize);
    this.#experts = experts;
  }

  /**
   * Loads a model. Throws `not-enough-memory` before allocating when weights, cache and buffers exceed what the
   * machine has free, `missing-tensor`, `bad-tensor-shape` and `bad-config` for files that are not a Llama 4.
   */
  static async load(source: TensorSource, options: RuntimeOptions = {}): Promise<Llama4Runtime> {
    const config = configFromMetadata(source.metadata, source.tensors);
    const threads = checkCount('threads', options.threads ?? availableParallelism(), MAX_THREADS);
    const contextSize = checkCount(
      'context size',
      options.contextSize || Math.min(config.contextLength, DEFAULT_CONTEXT),
      config.contextLength,
    );
    const tables = kernelTables();
    const plan = planModel(config, source.tensors, {
      threads,
      batchSize: Math.min(checkCount('batch size', options.batchSize ?? 512, 65_536), contextSize),
      contextSize,
      cacheType: options.cacheType ?? 'f16',
      tablesBytes: tables.length,
      arenaLimit: options.arenaLimit,
      collect: options.collect,
      expertCache:
        options.cacheExperts === undefined
          ? undefined
          : {
              bytes: options.cacheExperts,
              readAhead: options.readAhead ?? true,
            },
    });
    checkMemory(plan, contextSize, freemem());

    const module = await compileKernels(options.simd);
    const memories = createArenas(plan.arenas.arenaBytes, tables, plan.tables);
    const views = memories.map((memory) => new Uint8Array(memory.buffer));
    await loadWeights(source, plan, views, options);
    const divisors = source.tensors.get('rope_freqs.weight');
    const ropeDivisors = divisors && (await readVector(source, divisors));
    const { expertCache } = plan.layout;
    const experts = expertCache && ExpertStore.open(source, expertCache, memories);
    const init: ProgramInit = { layout: plan.layout, ropeDivisors, expertCache: experts?.init };
    const pool = await ThreadPool.start({
      setup: {
        module,
        memories,
        tables: plan.tables,
        scratch: plan.scratch,
        scratchBytes: plan.scratchBytes,
        lanes: threads,
      },
      programPath: require.resolve('#llama4-program'),
      init,
      commandWords: commandWords(plan.layout),
    }).catch(async (error) => {
      await experts?.close();
      throw error;
    });
    return new Llama4Runtime(plan, pool, views, contextSize, threads, experts);
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  /** What reading experts as needed came to so far; undefined unless loaded with `cacheExperts`. */
  get expertCache(): ExpertCacheStatistics | undefined {
    return this.#experts?.statistics;
  }

  /** Where embeddings that are no token's get the ids under which `evaluate` takes them. */
  get embeddings(): EmbeddingRows {
    return this.#embeddings;
  }

  /** See TokenModel. Calls are answered one after another. */
  evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const result = this.#queue.then(() => this.#evaluate(tokens, position, outputs, signal));
    this.#queue = result.catch(() => {});
    return result;
  }

  /**
   * Overwrites rows `[firstRow, …)` of a weight matrix with `bytes`, which are encoded in the type the matrix was
   * loaded in; rows count over all experts. Waits for evaluations under way and forgets what is cached. Throws
   * `no-such-matrix` for names of no matrix and `bad-rows` for bytes that are not whole rows of it.
   */
  replaceRows(name: string, firstRow: number, bytes: Uint8Array): Promise<void> {
    const result = this.#queue.then(() => this.#replaceRows(name, firstRow, bytes));
    this.#queue = result.catch(() => {});
    return result;
  }

  /** See CollectingModel; empty unless loaded with `collect`. */
  collected(): Map<string, CollectedSquares> {
    const views = new Map<InputSquares, CollectedSquares>();
    return new Map(
      Array.from(this.#inputSquares, ([name, squares]) => {
        const view = views.get(squares) ?? this.#viewSquares(squares);
        views.set(squares, view);
        return [name, view];
      }),
    );
  }

  /** See CollectingModel. */
  resetCollected(): void {
    for (const { sums, counts } of this.collected().values()) {
      sums.fill(0);
      counts.fill(0);
    }
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#pool.close();
    await this.#experts?.close();
  }

  #viewSquares({ offset, columns, matrices }: InputSquares): CollectedSquares {
    const sums = new Float64Array(this.#home.buffer, offset, matrices * columns);
    const counts = new Float64Array(this.#home.buffer, offset + sums.byteLength, matrices);
    return { sums, counts };
  }

  async #evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    this.#checkTokens(tokens, position);
    const wanted = outputRows(outputs, tokens.length);
    const result = new Float32Array(wanted.length * this.vocabSize);
    await this.#restoreChunk(position, signal);
    this.#history.set(Int32Array.from(tokens), position);

    let answered = 0;
    for (let start = 0; start < tokens.length; ) {
      throwIfAborted(signal);
      const count = this.#stepLength(position + start, tokens.length - start);
      const rows: number[] = [];
      for (let i = answered; i < wanted.length && wanted[i]! < start + count; i++)
        rows.push(wanted[i]! - start);
      await this.#step(position + start, count, rows, result.subarray(answered * this.vocabSize));
      answered += rows.length;
      start += count;
      this.#cached = position + start;
    }
    return result;
  }

  #replaceRows(name: string, firstRow: number, bytes: Uint8Array): void {
    const placement = this.#matrices.get(name);
    if (!placement) {
      throw new CriaError('internal', 'no-such-matrix', `the loaded model has no matrix '${name}'`);
    }
    const { info, pieces } = placement;
    const rowBytes = info.bytes / rowCount(info.shape);
    const start = firstRow * rowBytes;
    const end = start + bytes.length;
    if (!Number.isInteger(firstRow) || bytes.length % rowBytes !== 0 || start < 0 || end > info.bytes) {
      throw new CriaError(
        'internal',
        'bad-rows',
        `'${name}': ${bytes.length} bytes from row ${firstRow} are not rows of ${rowBytes} bytes among its ${info.bytes}`,
      );
    }
    this.#cached = 0;
    let pieceStart = 0;
    for (const { arena, offset, rows } of pieces) {
      const pieceEnd = pieceStart + rows * rowBytes;
      const from = Math.max(start, pieceStart);
      const to = Math.min(end, pieceEnd);
      if (from < to) {
        this.#arenas[arena]!.set(bytes.subarray(from - start, to - start), offset + from - pieceStart);
      }
      pieceStart = pieceEnd;
    }
  }

  /**
   * Chunked layers keep one chunk. Going back to a position in an earlier chunk means that chunk's keys were
   * overwritten and have to be computed again; the full layers still have everything before it.
   */
  async #restoreChunk(position: number, signal: AbortSignal | undefined): Promise<void> {
    const chunk = this.config.attentionChunkSize;
    const before = this.#cached;
    this.#cached = Math.min(before, position);
    if (chunk === 0 || before === 0 || position % chunk === 0) return;
    if (Math.floor((before - 1) / chunk) === Math.floor(position / chunk)) return;
    // Nothing at or after the chunk's start counts as cached until this is through.
    const start = position - (position % chunk);
    this.#cached = start;
    for (let at = start; at < position; ) {
      throwIfAborted(signal);
      const count = this.#stepLength(at, position - at);
      await this.#step(at, count, [], new Float32Array(0));
      at += count;
      this.#cached = at;
    }
  }

  /** Tokens of the next step: a batch, cut where an attention chunk ends. */
  #stepLength(position: number, remaining: number): number {
    const chunk = this.config.attentionChunkSize;
    const count = Math.min(remaining, this.#layout.batchSize);
    return chunk > 0 ? Math.min(count, chunk - (position % chunk)) : count;
  }

  async #step(position: number, count: number, rows: readonly number[], logits: Float32Array): Promise<void> {
    const { maxOutputs, batchSize, buffers } = this.#layout;
    let answered = 0;
    do {
      const part = rows.slice(answered, answered + maxOutputs);
      if (answered === 0) this.#placeEmbeddings(position, count);
      await this.#pool.run((command) => {
        // Rows beyond one step's room are answered from the hidden states the first step left.
        command[COMMAND.tokens] = answered === 0 ? count : 0;
        command[COMMAND.position] = position;
        command[COMMAND.outputs] = part.length;
        command.set(this.#history.subarray(position, position + count), COMMAND.lists);
        command.set(part, COMMAND.lists + batchSize);
      });
      const first = buffers.logits.offset / 4;
      const values = this.#home.subarray(first, first + part.length * this.vocabSize);
      logits.set(values, answered * this.vocabSize);
      answered += part.length;
    } while (answered < rows.length);
  }

  /** Puts rows that are no token's where the step looks tokens up. */
  #placeEmbeddings(position: number, count: number): void {
    const { hidden } = this.#layout.buffers;
    for (let i = 0; i < count; i++) {
      const id = this.#history[position + i]!;
      if (id < 0) this.#home.set(this.#embeddings.row(id), hidden.offset / 4 + i * hidden.columns);
    }
  }

  #checkTokens(tokens: ArrayLike<number>, position: number): void {
    if (!Number.isInteger(position) || position < 0 || position > this.#cached) {
      throw new CriaError(
        'usage',
        'bad-position',
        `tokens cannot start at position ${position}: positions 0 to ${this.#cached} can follow what is cached`,
      );
    }
    if (position + tokens.length > this.contextSize) {
      throw new CriaError(
        'usage',
        'context-full',
        `${position + tokens.length} tokens do not fit the context of ${this.contextSize}`,
      );
    }
    for (let i = 0; i < tokens.length; i++) {
      const id = tokens[i]!;
      if (Number.isInteger(id) && id < 0) {
        this.#embeddings.row(id);
        continue;
      }
      if (!Number.isInteger(id) || id >= this.vocabSize) {
        throw new CriaError(
          'usage',
          'bad-token',
          `token ${id} is not one of the model's ${this.vocabSize} ids`,
        );
      }
    }
  }
}

function outputRows(outputs: Outputs, tokens: number): readonly number[] {
  if (outputs === 'none' || tokens === 0) return [];
  if (outputs === 'last') return [tokens - 1];
  if (outputs === 'all') return Array.from({ length: tokens }, (_, i) => i);
  let previous = -1;
  for (const index of outputs) {
    if (!Number.isInteger(index) || index <= previous || index >= tokens) {
      throw new CriaError(
        'usage',
        'bad-output-position',
        `output positions must be ascending and below ${tokens}: found ${index} after ${previous}`,
      );
    }
    previous = index;
  }
  return outputs;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'the evaluation was cancelled');
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
