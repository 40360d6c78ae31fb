import { createRequire } from 'node:module';
import { freemem } from 'node:os';
import { CriaError } from '../base/errors.js';
import { configFromMetadata, type Llama4Config } from '../convert/llama4-config.js';
import { createArenas } from '../engine/arena-memories.js';
import { compileKernels } from '../engine/kernels.js';
import type { InputSquares } from '../engine/matrix.js';
import { writePackJob } from '../engine/packing.js';
import { ThreadPool } from '../engine/thread-pool.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { kernelTables } from '../quant/kernel-tables.js';
import { AdapterScales } from './adapter-scales.js';
import { type CacheRegion, cacheRegions } from './cache-regions.js';
import { checkTokens } from './check-tokens.js';
import type { CollectedSquares, CollectingModel } from './collecting-model.js';
import { EmbeddingRows } from './embedding-rows.js';
import { type ExpertCacheStatistics, ExpertStore } from './expert-store.js';
import { type CacheTypes, type ModelLayout, type ModelPlan, planModel } from './layout.js';
import type { Placement } from './layout-builder.js';
import { COMMAND, commandLists, commandWords, PACK, type ProgramInit } from './llama4-program.js';
import { loadAdapters } from './load-adapters.js';
import { loadWeights, readVector } from './load-weights.js';
import { MeanEmbedding } from './mean-embedding.js';
import { checkMemory } from './memory-check.js';
import { writeRows } from './replace-rows.js';
import { planOptions, type RuntimeOptions } from './runtime-options.js';
import type { SequenceModel, SequencePart } from './sequence-model.js';
import { gatherStep, outputRows, PendingPart, SequenceState } from './sequence-state.js';
import type { Outputs } from './token-model.js';

const require = createRequire(import.meta.url);

/**
 * A Llama 4 text model in memory: weights and cache in shared WebAssembly memories, one step at a time on worker
 * threads.
 */
export class Llama4Runtime implements CollectingModel, SequenceModel {
  readonly config: Llama4Config;
  readonly contextSize: number;
  readonly threads: number;
  /** Element types of cached keys and values. */
  readonly cacheTypes: CacheTypes;
  /** Planned bytes: weights, room for experts that are read as needed, cache (touched only as it fills), and everything else. */
  readonly bytes: ModelPlan['bytes'];
  readonly #layout: ModelLayout;
  readonly #pool: ThreadPool;
  readonly #home: Float32Array;
  readonly #inputSquares: ModelPlan['inputSquares'];
  readonly #arenas: readonly Uint8Array[];
  readonly #matrices: ReadonlyMap<string, Placement>;
  readonly #experts: ExpertStore | undefined;
  readonly #sequences: readonly SequenceState[];
  readonly #embeddings: EmbeddingRows;
  readonly #adapterScales: AdapterScales;
  #evaluatedTokens = 0;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    plan: ModelPlan,
    pool: ThreadPool,
    arenas: readonly Uint8Array[],
    planned: ReturnType<typeof planOptions>,
    experts: ExpertStore | undefined,
    adapterScales: readonly number[],
  ) {
    const { contextSize, sequences, threads } = planned;
    this.config = plan.layout.config;
    this.bytes = plan.bytes;
    this.contextSize = contextSize;
    this.threads = threads;
    this.cacheTypes = planned.cacheType;
    this.#layout = plan.layout;
    this.#pool = pool;
    this.#arenas = arenas;
    this.#home = new Float32Array(arenas[0]!.buffer);
    this.#inputSquares = plan.inputSquares;
    this.#matrices = new Map(plan.matrices.map((placement) => [placement.info.name, placement]));
    this.#sequences = Array.from(
      { length: sequences },
      () => new SequenceState(contextSize, this.config.attentionChunkSize),
    );
    this.#experts = experts;
    this.#adapterScales = new AdapterScales(plan.layout.adapters, this.#home, sequences, adapterScales);
    // What is cached and the prompts that come next may be pictures from end to end.
    this.#embeddings = new EmbeddingRows(this.config.embeddingLength, 2 * contextSize * sequences);
  }

  /**
   * Loads a model. Throws `not-enough-memory` before allocating when weights, cache and buffers exceed what the
   * machine has free, `missing-tensor`, `bad-tensor-shape` and `bad-config` for files that are not a Llama 4.
   */
  static async load(source: TensorSource, options: RuntimeOptions = {}): Promise<Llama4Runtime> {
    const config = configFromMetadata(source.metadata, source.tensors);
    const tables = kernelTables();
    const planned = planOptions(config, options, tables.length);
    const { contextSize, threads } = planned;
    const scaled = options.adapters ?? [];
    const plan = planModel(config, source.tensors, planned);
    options.onPlan?.(plan, contextSize);
    checkMemory(plan, contextSize, freemem());

    const module = await compileKernels(options.simd);
    const memories = createArenas(plan.arenas.arenaBytes, tables, plan.tables);
    const views = memories.map((memory) => new Uint8Array(memory.buffer));
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
    try {
      await loadWeights(source, plan, views, options, (job) =>
        pool.run((command) => {
          command[COMMAND.tokens] = PACK;
          writePackJob(job, command.subarray(1));
        }),
      );
      const { adapters } = plan.layout;
      if (adapters)
        await loadAdapters(
          adapters,
          scaled.map(({ adapter }) => adapter),
          views,
        );
    } catch (error) {
      await pool.close();
      await experts?.close();
      throw error;
    }
    const scales = scaled.map(({ scale }) => scale);
    return new Llama4Runtime(plan, pool, views, planned, experts, scales);
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

  get sequences(): number {
    return this.#sequences.length;
  }

  /** Tokens computed so far, whatever for. */
  get evaluatedTokens(): number {
    return this.#evaluatedTokens;
  }

  /** See TokenModel. Calls are answered one after another. */
  async evaluate(
    tokens: ArrayLike<number>,
    position: number,
    outputs: Outputs,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const [logits] = await this.evaluateBatch([{ sequence: 0, tokens, position, outputs }], signal);
    return logits!;
  }

  /** See SequenceModel. Throws as `evaluate` does, and `bad-sequence`. */
  evaluateBatch(parts: readonly SequencePart[], signal?: AbortSignal): Promise<Float32Array[]> {
    return this.#exclusively(() => this.#evaluate(parts, signal));
  }

  /**
   * The mean over `tokens` of the last layer's output after the output norm, [embeddingLength]: an embedding of the
   * text. Runs in `sequence` from an empty cache. Throws as `evaluate` does.
   */
  embed(tokens: ArrayLike<number>, sequence = 0, signal?: AbortSignal): Promise<Float32Array> {
    const { buffers, outputNorm } = this.#layout;
    const rowsAt = (byteOffset: number, rows: number) =>
      this.#home.subarray(byteOffset / 4, byteOffset / 4 + rows * buffers.hidden.columns);
    return this.#exclusively(async () => {
      const sums = new MeanEmbedding(rowsAt(outputNorm, 1), this.config.rmsEps);
      const part = { sequence, tokens, position: 0, outputs: 'none' as const };
      await this.#evaluate([part], signal, (count) => sums.add(rowsAt(buffers.hidden.offset, count)));
      return sums.mean();
    });
  }

  /** How much of each loaded adapter a sequence gets, in the order of `RuntimeOptions.adapters`. */
  adapterScales(sequence: number): readonly number[] {
    this.#sequence(sequence);
    return this.#adapterScales.of(sequence);
  }

  /**
   * Changes that; sequences of one batch may differ. Waits for evaluations under way, and forgets what the sequence has
   * cached if anything changes. Throws `bad-adapter-scales`.
   */
  setAdapterScales(sequence: number, scales: readonly number[]): Promise<void> {
    const state = this.#sequence(sequence);
    this.#adapterScales.check(scales);
    return this.#exclusively(() => {
      if (this.#adapterScales.set(sequence, scales)) state.clear();
    });
  }

  /** See SequenceModel. */
  cachedTokens(sequence: number): Int32Array {
    return this.#sequence(sequence).tokens().slice();
  }

  /**
   * Hands the cached tokens of a sequence, and views of their keys and values, to `use`; evaluations wait meanwhile.
   * Types and sizes of the views follow from the model, the cache's types and the number of tokens.
   */
  readSequence<T>(
    sequence: number,
    use: (tokens: Int32Array, regions: readonly Uint8Array[]) => Promise<T>,
  ): Promise<T> {
    const state = this.#sequence(sequence);
    return this.#exclusively(() => use(state.tokens(), this.#views(sequence, state.length)));
  }

  /**
   * The reverse: makes a sequence hold `tokens` once `fill` has filled the views with their keys and values. If it
   * fails, the sequence holds nothing. Throws `context-full` and `bad-token` as `evaluate` does.
   */
  restoreSequence(
    sequence: number,
    tokens: ArrayLike<number>,
    fill: (regions: readonly Uint8Array[]) => Promise<void>,
  ): Promise<void> {
    const state = this.#sequence(sequence);
    return this.#exclusively(async () => {
      checkTokens(tokens, 0, this);
      state.clear();
      await fill(this.#views(sequence, tokens.length));
      state.adopt(tokens);
    });
  }

  /**
   * Overwrites rows `[firstRow, …)` of a weight matrix with `bytes`, which are encoded in the type the matrix was
   * loaded in; rows count over all experts. Only for models loaded with `repack: 'off'`. Waits for evaluations under way and forgets what is cached. Throws
   * `no-such-matrix` for names of no matrix and `bad-rows` for bytes that are not whole rows of it.
   */
  replaceRows(name: string, firstRow: number, bytes: Uint8Array): Promise<void> {
    return this.#exclusively(() => this.#replaceRows(name, firstRow, bytes));
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

  /** Runs `task` when everything asked for before is done. */
  #exclusively<T>(task: () => T | Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }

  #sequence(index: number): SequenceState {
    const state = this.#sequences[index];
    if (!state) {
      throw new CriaError(
        'usage',
        'bad-sequence',
        `expected a sequence from 0 to ${this.sequences - 1}, found ${index}`,
      );
    }
    return state;
  }

  #views(sequence: number, positions: number): Uint8Array[] {
    return cacheRegions(this.#layout, sequence, positions).map(({ arena, offset, bytes }: CacheRegion) =>
      this.#arenas[arena]!.subarray(offset, offset + bytes),
    );
  }

  /** @param onStep told after every step how many tokens it computed, whose hidden states are still there */
  async #evaluate(
    parts: readonly SequencePart[],
    signal: AbortSignal | undefined,
    onStep?: (tokens: number) => void,
  ): Promise<Float32Array[]> {
    const wanted = parts.map((part) => this.#checkPart(part));
    if (new Set(parts.map(({ sequence }) => sequence)).size < parts.length) {
      throw new CriaError('usage', 'bad-sequence', 'the parts of a batch must be of different sequences');
    }
    const pending = parts.map(({ sequence, tokens, position }, i) => {
      const state = this.#sequence(sequence);
      const start = state.begin(tokens, position);
      const end = position + tokens.length;
      const positions = wanted[i]!.map((index) => position + index);
      return new PendingPart(sequence, state, { start, end }, positions, this.vocabSize);
    });
    while (pending.some(({ next, end }) => next < end)) {
      throwIfAborted(signal);
      const before = this.#evaluatedTokens;
      await this.#step(pending);
      onStep?.(this.#evaluatedTokens - before);
    }
    return pending.map(({ logits }) => logits);
  }

  #replaceRows(name: string, firstRow: number, bytes: Uint8Array): void {
    const placement = this.#matrices.get(name);
    if (!placement) {
      throw new CriaError('internal', 'no-such-matrix', `the loaded model has no matrix '${name}'`);
    }
    writeRows(placement, firstRow, bytes, this.#arenas);
    for (const state of this.#sequences) state.clear();
  }

  /** Computes as many tokens of the parts as fit a step, in order, and the logits that they want. */
  async #step(parts: readonly PendingPart[]): Promise<void> {
    const { maxOutputs, batchSize, buffers } = this.#layout;
    const step = gatherStep(parts, batchSize, this.config.attentionChunkSize);
    this.#placeEmbeddings(step.ids);
    let answered = 0;
    do {
      const now = step.rows.slice(answered, answered + maxOutputs);
      await this.#pool.run((command) => {
        // Rows beyond one step's room are answered from the hidden states the first step left.
        command[COMMAND.tokens] = answered === 0 ? step.ids.length : 0;
        command[COMMAND.outputs] = now.length;
        const lists = commandLists(command, this.#layout);
        lists.rows.set(now.map(({ row }) => row));
        if (answered > 0) return;
        lists.ids.set(step.ids);
        lists.sequences.set(step.sequences);
        lists.positions.set(step.positions);
      });
      for (const [i, { part }] of now.entries()) {
        const first = buffers.logits.offset / 4 + i * this.vocabSize;
        part.takeRow().set(this.#home.subarray(first, first + this.vocabSize));
      }
      answered += now.length;
    } while (answered < step.rows.length);
    for (const [i, part] of parts.entries()) part.advance(step.counts[i]!);
    this.#evaluatedTokens += step.ids.length;
  }

  /** Puts rows that are no token's where the step looks tokens up. */
  #placeEmbeddings(ids: readonly number[]): void {
    const { hidden } = this.#layout.buffers;
    for (const [i, id] of ids.entries()) {
      if (id < 0) this.#home.set(this.#embeddings.row(id), hidden.offset / 4 + i * hidden.columns);
    }
  }

  /** Indices of the part's tokens that want logits. */
  #checkPart(part: SequencePart): readonly number[] {
    const { sequence, tokens, position } = part;
    const cached = this.#sequence(sequence).length;
    if (!Number.isInteger(position) || position < 0 || position > cached) {
      throw new CriaError(
        'usage',
        'bad-position',
        `tokens cannot start at position ${position}: positions 0 to ${cached} can follow what is cached`,
      );
    }
    checkTokens(tokens, position, this);
    return outputRows(part.outputs, tokens.length);
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'the evaluation was cancelled');
}
