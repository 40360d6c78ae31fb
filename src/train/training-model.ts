import { createRequire } from 'node:module';
import { freemem } from 'node:os';
import { CriaError } from '../base/errors.js';
import { computeThreads } from '../base/processors.js';
import { configFromMetadata, type Llama4Config } from '../convert/llama4-config.js';
import { createArenas } from '../engine/arena-memories.js';
import { compileKernels } from '../engine/kernels.js';
import { ThreadPool } from '../engine/thread-pool.js';
import { elementCount, type TensorSource } from '../formats/tensor-source.js';
import { loadWeights, readVector } from '../model/load-weights.js';
import { kernelTables } from '../quant/kernel-tables.js';
import { eightBitTables } from './eight-bit-maps.js';
import { STEP_SCALARS } from './engine/optimizer.js';
import {
  LOSS_SCALARS,
  TRAINING_COMMAND_WORDS,
  TRAINING_COMMANDS,
  TRAINING_WORDS,
  type TrainingInit,
} from './engine/training-program.js';
import { floatSource } from './float-source.js';
import { uniformFloats } from './initial-values.js';
import { compileTrainKernels, type TrainBuild } from './kernels.js';
import { clearMoments, momentTensors } from './optimizer-state.js';
import type { PlacedParameter } from './placed-parameters.js';
import type { TrainableModel } from './trainable-model.js';
import { trainedRoom } from './trained-room.js';
import {
  planTraining,
  type TrainingLayout,
  type TrainingPlan,
  tensorsInTraining,
} from './training-layout.js';
import type {
  BatchLoss,
  OptimizerKind,
  OptimizerStep,
  ParameterInfo,
  StateTensor,
  Trainable,
  TrainingBatch,
  TrainingMemory,
} from './types.js';

const require = createRequire(import.meta.url);

export interface TrainingOptions {
  readonly trainable: Trainable;
  /** Default: the physical cores this process may use. Results do not depend on it. */
  readonly threads?: number;
  /** Most tokens of a batch. */
  readonly maxTokens: number;
  /** Keep hidden states between layers only, and compute layers again on the way back. The same gradients. */
  readonly checkpointing?: boolean;
  readonly optimizer?: OptimizerKind;
  /** Weight of the routers' auxiliary loss; default 0. */
  readonly auxiliaryCoefficient?: number;
  /** Of adapters' first values and of dropout. */
  readonly seed: number;
  /** Build of the training kernels; chosen for this machine when absent. */
  readonly build?: TrainBuild;
  /** Largest WebAssembly memory; only tests make it small. */
  readonly arenaLimit?: number;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A Llama 4 text model in training: on worker threads, one call at a time. */
export class TrainingModel implements TrainableModel {
  readonly config: Llama4Config;
  readonly parameters: readonly ParameterInfo[];
  readonly memory: TrainingMemory;
  readonly maxTokens: number;
  readonly #layout: TrainingLayout;
  readonly #placed: ReadonlyMap<string, PlacedParameter>;
  readonly #pool: ThreadPool;
  readonly #arenas: readonly ArrayBufferLike[];
  readonly #coefficient: number;
  /** Steps of the optimizer so far. */
  #steps = 0;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    plan: TrainingPlan,
    pool: ThreadPool,
    arenas: readonly ArrayBufferLike[],
    coefficient: number,
  ) {
    this.config = plan.layout.config;
    this.parameters = plan.parameters.map(({ name, shape, decays }) => ({ name, shape, decays }));
    this.memory = plan.memory;
    this.maxTokens = plan.layout.maxTokens;
    this.#layout = plan.layout;
    this.#placed = new Map(plan.parameters.map((parameter) => [parameter.name, parameter]));
    this.#pool = pool;
    this.#arenas = arenas;
    this.#coefficient = coefficient;
  }

  /**
   * Loads a model for training. Adapters begin as PEFT's do: A uniform in ±1/√columns, B zero.
   * Throws what `planTraining` does, and `not-enough-memory`.
   */
  static async open(source: TensorSource, options: TrainingOptions): Promise<TrainingModel> {
    const config = configFromMetadata(source.metadata, source.tensors);
    const threads = options.threads ?? computeThreads();
    const plan = planTraining(config, source.tensors, { ...options, threads });
    checkFree(plan);
    const tables = kernelTables();
    const memories = createArenas(plan.arenas.arenaBytes, tables, plan.tables);
    const views = memories.map((memory) => new Uint8Array(memory.buffer));
    const { layout } = plan;
    if (layout.optimizer === 'adamw_8bit') {
      for (const view of views) view.set(eightBitTables(), layout.eightBitTables);
    }
    const divisors = source.tensors.get('rope_freqs.weight');
    const init: TrainingInit = {
      layout,
      activationBytes: plan.activationBytes,
      ropeDivisors: divisors && (await readVector(source, divisors)),
      module: await compileTrainKernels(options.build),
      memories,
      seed: options.seed,
    };
    const pool = await ThreadPool.start({
      setup: {
        module: await compileKernels(options.build),
        memories,
        tables: plan.tables,
        scratch: plan.scratch,
        scratchBytes: layout.scratch.bytes,
        lanes: threads,
      },
      programPath: require.resolve('#training-program'),
      init,
      commandWords: TRAINING_COMMAND_WORDS,
    });
    try {
      const floats = floatSource(source, tensorsInTraining(source.tensors, options.trainable));
      await loadWeights(floats, plan, views, options);
    } catch (error) {
      await pool.close();
      throw error;
    }
    const buffers = memories.map(({ buffer }) => buffer);
    const model = new TrainingModel(plan, pool, buffers, options.auxiliaryCoefficient ?? 0);
    for (const [index, { name, shape, initialBound }] of plan.parameters.entries()) {
      if (initialBound === undefined) continue;
      await model.write(name, uniformFloats(options.seed, index, elementCount(shape), initialBound));
    }
    clearMoments(layout, buffers);
    return model;
  }

  /**
   * Forward and back: adds to the gradients that of gradientScale × (Σ weight · −log p + coefficient × tokens × auxiliary
   * loss), tokens being those with a target: so batches that are added up weigh by their tokens.
   * @param step what dropout's masks follow from, beside the seed
   * @throws CriaError `bad-batch`
   */
  accumulate(batch: TrainingBatch, gradientScale: number, step: number): Promise<BatchLoss> {
    return this.#exclusively(async () => {
      const tokens = this.#place(batch);
      const targets = batch.targets.reduce((count, target) => count + Number(target >= 0), 0);
      const { f64 } = this.#places();
      f64[LOSS_SCALARS.gradientScale] = gradientScale;
      f64[LOSS_SCALARS.routerScale] = gradientScale * targets * this.#coefficient;
      await this.#run(TRAINING_COMMANDS.accumulate, tokens, true, step);
      const likelihoods = this.#likelihoods(tokens);
      const sum = likelihoods.reduce((all, value, t) => all + value * (batch.weights?.[t] ?? 1), 0);
      return { sum, tokens: targets, auxiliary: this.#auxiliary(tokens) };
    });
  }

  /** −log p of every token's target, 0 where it has none; without dropout. Throws as `accumulate` does. */
  likelihoods(batch: TrainingBatch, options: { readonly adapters: boolean }): Promise<Float32Array> {
    return this.#exclusively(async () => {
      const tokens = this.#place(batch);
      await this.#run(TRAINING_COMMANDS.likelihoods, tokens, options.adapters, 0);
      return this.#likelihoods(tokens);
    });
  }

  /**
   * One step of AdamW with the gradients so far, cut to their norm, which are 0 afterwards. A norm that is no finite
   * number leaves parameters and moments as they are.
   */
  update(step: OptimizerStep): Promise<{ readonly norm: number; readonly applied: boolean }> {
    return this.#exclusively(async () => {
      const { f64 } = this.#places();
      f64[STEP_SCALARS.learningRate] = step.learningRate;
      f64[STEP_SCALARS.beta1] = step.beta1;
      f64[STEP_SCALARS.beta2] = step.beta2;
      f64[STEP_SCALARS.epsilon] = step.epsilon;
      f64[STEP_SCALARS.weightDecay] = step.weightDecay;
      f64[STEP_SCALARS.maxNorm] = step.maxNorm;
      f64[STEP_SCALARS.step] = this.#steps + 1;
      await this.#run(TRAINING_COMMANDS.update, 0, true, 0);
      const norm = f64[STEP_SCALARS.norm]!;
      const applied = Number.isFinite(norm);
      if (applied) this.#steps++;
      return { norm, applied };
    });
  }

  /** A copy. Throws `no-such-parameter`. */
  read(name: string, what: 'value' | 'gradient'): Promise<Float32Array> {
    return this.#exclusively(async () => {
      const { shape, segments } = this.#parameter(name);
      const values = new Float32Array(elementCount(shape));
      let next = 0;
      for (const { arena, address, elements } of segments) {
        const { gradient } = trainedRoom(elements, this.#layout.optimizer);
        const at = what === 'value' ? address : address + gradient;
        values.set(new Float32Array(this.#arenas[arena]!, at, elements), next);
        next += elements;
      }
      return values;
    });
  }

  /** Throws `no-such-parameter`, and `bad-parameter` for another number of values. */
  write(name: string, values: Float32Array): Promise<void> {
    return this.#exclusively(async () => {
      const { shape, segments } = this.#parameter(name);
      const expected = elementCount(shape);
      if (values.length !== expected) {
        throw new CriaError(
          'bad-file',
          'bad-parameter',
          `parameter '${name}' has ${expected} values, found ${values.length}`,
        );
      }
      let next = 0;
      for (const { arena, address, elements } of segments) {
        new Float32Array(this.#arenas[arena]!, address, elements).set(values.subarray(next, next + elements));
        next += elements;
      }
    });
  }

  /** All that the optimizer remembers, to the byte. */
  optimizerState(): Promise<StateTensor[]> {
    return this.#exclusively(async () => [
      { name: 'step', dtype: 'F32', shape: [1], bytes: new Uint8Array(Float32Array.of(this.#steps).buffer) },
      ...momentTensors(this.#placed.values(), this.#layout.optimizer, this.#arenas).map(
        ({ parts, ...tensor }) => ({ ...tensor, bytes: Uint8Array.from(Buffer.concat(parts)) }),
      ),
    ]);
  }

  /** The reverse. Throws `bad-optimizer-state` for a tensor that is missing or of another size. */
  restoreOptimizer(tensors: readonly StateTensor[]): Promise<void> {
    return this.#exclusively(async () => {
      const found = new Map(tensors.map((tensor) => [tensor.name, tensor]));
      const bytesOf = (name: string, expected: number) => {
        const bytes = found.get(name)?.bytes;
        if (bytes?.length === expected) return bytes;
        throw new CriaError(
          'bad-file',
          'bad-optimizer-state',
          `expected ${expected} bytes of the optimizer's '${name}', found ${bytes?.length ?? 'none'}`,
        );
      };
      const targets = momentTensors(this.#placed.values(), this.#layout.optimizer, this.#arenas);
      const sizes = targets.map(({ parts }) => parts.reduce((sum, { length }) => sum + length, 0));
      const step = bytesOf('step', 4);
      const states = targets.map(({ name }, i) => bytesOf(name, sizes[i]!));
      this.#steps = new DataView(step.buffer, step.byteOffset, 4).getFloat32(0, true);
      for (const [i, { parts }] of targets.entries()) {
        let next = 0;
        for (const part of parts) {
          part.set(states[i]!.subarray(next, next + part.length));
          next += part.length;
        }
      }
    });
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#pool.close();
  }

  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }

  #parameter(name: string): PlacedParameter {
    const parameter = this.#placed.get(name);
    if (parameter) return parameter;
    throw new CriaError('internal', 'no-such-parameter', `nothing that is trained has the name '${name}'`);
  }

  #run(kind: number, tokens: number, adapters: boolean, step: number): Promise<void> {
    return this.#pool.run((command) => {
      command[TRAINING_WORDS.kind] = kind;
      command[TRAINING_WORDS.tokens] = tokens;
      command[TRAINING_WORDS.adapters] = Number(adapters);
      command[TRAINING_WORDS.step] = step;
    });
  }

  /** Views of what is handed to the lanes. */
  #places() {
    const { places, maxTokens, config } = this.#layout;
    const home = this.#arenas[0]!;
    return {
      lists: new Int32Array(home, places.tokens, 4 * maxTokens),
      weights: new Float32Array(home, places.weights, maxTokens),
      pictures: new Float32Array(home, places.pictures, maxTokens * config.embeddingLength),
      likelihoods: new Float32Array(home, places.likelihoods, maxTokens),
      f64: new Float64Array(home, places.scalars, 16),
    };
  }

  /** Checks a batch and puts it where the lanes find it. */
  #place(batch: TrainingBatch): number {
    const { ids, sequences, positions, targets, weights, pictures } = batch;
    this.#check(batch);
    const places = this.#places();
    for (const [i, values] of [ids, sequences, positions, targets].entries()) {
      places.lists.set(values, i * this.maxTokens);
    }
    if (weights) places.weights.set(weights);
    else places.weights.fill(1);
    if (pictures) places.pictures.set(pictures);
    places.likelihoods.fill(0);
    return ids.length;
  }

  #check({ ids, sequences, positions, targets, weights, pictures }: TrainingBatch): void {
    const { vocabSize, embeddingLength } = this.config;
    const refuse = (message: string) => new CriaError('usage', 'bad-batch', `a training batch ${message}`);
    const tokens = ids.length;
    if (tokens < 1 || tokens > this.maxTokens) {
      throw refuse(`must have 1 to ${this.maxTokens} tokens, found ${tokens}`);
    }
    if ([sequences, positions, targets, weights ?? ids].some(({ length }) => length !== tokens)) {
      throw refuse('must have as many sequences, positions, targets and weights as tokens');
    }
    const rows = (pictures?.length ?? 0) / embeddingLength;
    if (rows > this.maxTokens || !Number.isInteger(rows))
      throw refuse('has rows of pictures that do not fit');
    for (let t = 0; t < tokens; t++) {
      if (ids[t]! >= vocabSize || ids[t]! < -rows) throw refuse(`has the token ${ids[t]} at ${t}`);
      if (targets[t]! >= vocabSize || targets[t]! < -1) throw refuse(`has the target ${targets[t]} at ${t}`);
      const goesOn = t > 0 && sequences[t] === sequences[t - 1];
      if (positions[t] !== (goesOn ? positions[t - 1]! + 1 : 0)) {
        throw refuse(`has position ${positions[t]} at ${t}: positions count from 0 in every sequence`);
      }
    }
  }

  #likelihoods(tokens: number): Float32Array {
    return this.#places().likelihoods.slice(0, tokens);
  }

  /** The mean over layers and tokens. */
  #auxiliary(tokens: number): number {
    const { places, maxTokens } = this.#layout;
    let sum = 0;
    let layers = 0;
    for (const [layer, moe] of this.config.moeLayers.entries()) {
      if (!moe) continue;
      layers++;
      const at = places.routerLoss + layer * maxTokens * 4;
      sum += new Float32Array(this.#arenas[0]!, at, tokens).reduce((all, value) => all + value, 0);
    }
    return layers === 0 ? 0 : sum / (layers * tokens);
  }
}

function checkFree({ arenas, memory }: TrainingPlan): void {
  const needed = arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
  const free = freemem();
  if (needed <= free) return;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  throw new CriaError(
    'resources',
    'not-enough-memory',
    `training needs ${gib(needed)} (weights ${gib(memory.weights + memory.parameters)}, gradients ` +
      `${gib(memory.gradients)}, optimizer ${gib(memory.optimizer)}, activations ${gib(memory.activations)}) but ` +
      `${gib(free)} of memory are free: shorter batches, --gradient-checkpointing or adapters take less`,
  );
}
