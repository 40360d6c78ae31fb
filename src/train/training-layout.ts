import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import { ARENA_LIMIT, type ArenaPlan } from '../engine/arena-plan.js';
import type { Matrix, Piece } from '../engine/matrix.js';
import { elementCount, type TensorInfo } from '../formats/tensor-source.js';
import { LayoutBuilder } from '../model/layout-builder.js';
import type { WeightPlan } from '../model/load-weights.js';
import { type ActivationBuffers, type NetworkLayout, planEnds, planLayer } from '../model/network-layout.js';
import { kernelTables } from '../quant/kernel-tables.js';
import { EIGHT_BIT_TABLES_BYTES } from './eight-bit-maps.js';
import { type LaneScratch, planScratch } from './engine/lane-scratch.js';
import { measureActivations } from './engine/measure-activations.js';
import {
  type AdapterPlace,
  adapterParameters,
  adapterPlaces,
  type PlacedParameter,
  type PlannedAdapter,
  placeAdapter,
  placedParameter,
  type Segment,
} from './placed-parameters.js';
import { trainedRoom } from './trained-room.js';
import type { OptimizerKind, Trainable, TrainingMemory } from './types.js';

/** Logits of a chunk of tokens take at most so many bytes. */
const LOGIT_BYTES = 2 ** 23;
/** But a chunk has at least so many tokens: weights are read once for each. */
const LEAST_CHUNK = 128;

/** Addresses of what main thread and lanes hand each other, in the home arena. */
export interface TrainingPlaces {
  /** i32 [ids, sequences, positions, targets][maxTokens] */
  readonly tokens: number;
  /** f32 [maxTokens] */
  readonly weights: number;
  /** f32 [maxTokens][width] */
  readonly pictures: number;
  /** f32 [maxTokens] */
  readonly likelihoods: number;
  /** f32 [layers][maxTokens] */
  readonly routerLoss: number;
  /** f64 [SCALARS] */
  readonly scalars: number;
  /** f64, one per block of the optimizer's work */
  readonly squares: number;
  readonly activations: number;
}

export const SCALARS = 16;
/** Elements of an optimizer's unit of work. */
export const OPTIMIZER_BLOCK = 65_536;

/** The same in every worker, and structured-cloneable. */
export interface TrainingLayout extends NetworkLayout {
  readonly maxTokens: number;
  /** Tokens whose logits exist at once. */
  readonly chunkRows: number;
  readonly checkpointing: boolean;
  readonly optimizer: OptimizerKind;
  /** Of adapters' inputs. */
  readonly dropout: number;
  readonly scratch: LaneScratch;
  /** By matrix name: the address of each piece's gradient, in the piece's arena. */
  readonly gradients: ReadonlyMap<string, readonly number[]>;
  /** By a norm's address. */
  readonly vectorGradients: ReadonlyMap<number, number>;
  readonly adapters: ReadonlyMap<string, AdapterPlace>;
  readonly segments: readonly Segment[];
  readonly eightBitTables: number;
  readonly places: TrainingPlaces;
}

export interface TrainingPlan extends WeightPlan {
  readonly layout: TrainingLayout;
  readonly arenas: ArenaPlan;
  readonly parameters: readonly PlacedParameter[];
  readonly memory: TrainingMemory;
  readonly activationBytes: number;
  readonly tables: number;
  readonly scratch: number;
}

export interface TrainingPlanOptions {
  readonly trainable: Trainable;
  /** Most tokens of a batch. */
  readonly maxTokens: number;
  readonly threads: number;
  readonly checkpointing?: boolean;
  readonly optimizer?: OptimizerKind;
  /** Largest arena; only tests make it small. */
  readonly arenaLimit?: number;
}

/**
 * Where everything of a model in training goes, and what it takes. Pure: needs the tensors' names, types and shapes.
 * Throws as `planModel` does, `bad-trainable` for adapters of tensors that are no matrices of the network, and
 * `batch-too-large`.
 */
export function planTraining(
  config: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  options: TrainingPlanOptions,
): TrainingPlan {
  checkShape(config);
  // Where activations go does not change how many there are.
  const { layout } = placeTraining(config, tensors, options, 0);
  const activationBytes = measureActivations(layout);
  if (activationBytes > (options.arenaLimit ?? ARENA_LIMIT)) {
    const gib = (activationBytes / 2 ** 30).toFixed(1);
    throw new CriaError(
      'resources',
      'batch-too-large',
      `the activations of ${options.maxTokens} tokens take ${gib} GiB, and have to fit the 4 GiB of a WebAssembly ` +
        `memory: shorter sequences${options.checkpointing ? '' : ' or --gradient-checkpointing'} take less`,
    );
  }
  return placeTraining(config, tensors, options, activationBytes);
}

function checkShape(config: Llama4Config): void {
  const { embeddingLength, headDim, expertFeedForwardLength, feedForwardLength } = config;
  const widths = [embeddingLength, headDim, feedForwardLength, expertFeedForwardLength];
  const odd = widths.find((width) => width % 4 !== 0);
  if (odd !== undefined || headDim > 128) {
    throw new CriaError(
      'unsupported',
      'bad-trainable',
      `training needs widths of a multiple of 4 and heads of at most 128 values, found ${odd ?? headDim}`,
    );
  }
}

/** Tensors as they are in memory: those that are trained as F32. */
export function tensorsInTraining(
  tensors: ReadonlyMap<string, TensorInfo>,
  trainable: Trainable,
): Map<string, TensorInfo> {
  const trained = isTrained(trainable);
  return new Map(
    Array.from(tensors, ([name, info]) => [
      name,
      trained(name) ? { ...info, type: 'F32', bytes: 4 * elementCount(info.shape) } : info,
    ]),
  );
}

function isTrained(trainable: Trainable): (name: string) => boolean {
  if (trainable.kind === 'lora') return () => false;
  const frozen = new Set(trainable.frozen);
  return (name) => !frozen.has(name) && name !== 'rope_freqs.weight';
}

function placeTraining(
  config: Llama4Config,
  stored: ReadonlyMap<string, TensorInfo>,
  options: TrainingPlanOptions,
  activationBytes: number,
): TrainingPlan {
  const { trainable, maxTokens, threads, optimizer = 'adamw', checkpointing = false } = options;
  const trained = isTrained(trainable);
  const tensors = tensorsInTraining(stored, trainable);
  const learns = (name: string) => trained(name) || /\.lora_[ab]$/.test(name);
  const builder = new LayoutBuilder(tensors, false, 'off', (name, elements) =>
    learns(name) ? trainedRoom(elements, optimizer).end - 4 * elements : 0,
  );
  // Adapters first: so they are in the home arena if anything is.
  const loras = trainable.kind === 'lora' ? trainable.parameters : [];
  const adapters = loras.map((parameter) => placeAdapter(parameter, tensors, builder));
  const ends = planEnds(config, tensors, builder);
  const layers = config.ropeLayers.map((_, i) => planLayer(config, i, builder).layer);

  const { embeddingLength: width, headDim, vocabSize } = config;
  const chunkRows = Math.min(maxTokens, Math.max(LEAST_CHUNK, Math.floor(LOGIT_BYTES / (4 * vocabSize))));
  const floats = (rows: number, columns = 1) => builder.buffer(rows, columns);
  const elements = (name: string) => elementCount(tensors.get(name)!.shape);
  const room = {
    scalars: floats(2 * SCALARS),
    tokens: floats(4, maxTokens),
    weights: floats(maxTokens),
    pictures: floats(maxTokens, width),
    likelihoods: floats(maxTokens),
    routerLoss: floats(layers.length, maxTokens),
    squares: floats(2, optimizerBlocks(builder, adapters, learns)),
    activations: floats(Math.ceil(activationBytes / 4)),
  };
  const named = [...builder.matrices.map(({ info }) => info), ...adapters.flatMap(({ a, b }) => [a, b])];
  const columnsOf = (item: TensorInfo | Matrix) => ('shape' in item ? item.shape[0]! : item.columns);
  const widest = Math.max(...named.map(columnsOf));
  const largest = Math.max(
    ...builder.matrices.map(
      ({ info, pieces }) => info.shape[0]! * Math.max(...pieces.map(({ rows }) => rows)),
    ),
  );
  const scratchLayout = planScratch(widest, largest, headDim);
  const eightBitBytes = optimizer === 'adamw_8bit' ? EIGHT_BIT_TABLES_BYTES : 0;
  const common = [kernelTables().length, scratchLayout.bytes * threads, eightBitBytes];
  const arenas = builder.settle(common, options.arenaLimit);
  const [tables, scratch, eightBit] = arenas.common as [number, number, number];

  const gradientsOf = ({ columns, pieces }: Pick<Matrix, 'columns' | 'pieces'>) =>
    pieces.map(({ rows, offset }) => offset + trainedRoom(rows * columns, optimizer).gradient);
  const gradients = new Map<string, readonly number[]>();
  for (const { info, pieces } of builder.matrices) {
    if (trained(info.name)) gradients.set(info.name, gradientsOf({ columns: info.shape[0]!, pieces }));
  }
  const vectorGradients = new Map<number, number>();
  for (const { info, offset } of builder.vectors) {
    const { gradient } = trainedRoom(elements(info.name), optimizer);
    if (trained(info.name)) vectorGradients.set(offset, offset + gradient);
  }
  const parameters = [
    ...adapters.flatMap(adapterParameters),
    ...builder.matrices
      .filter(({ info }) => trained(info.name))
      .map(({ info, pieces }) => placedParameter(info.name, info.shape, pieces)),
    ...builder.vectors
      .filter(({ info }) => trained(info.name))
      .map(({ info, offset }) => ({
        name: info.name,
        shape: info.shape,
        decays: false,
        segments: [{ arena: 0, address: offset, elements: elements(info.name), decays: false }],
      })),
  ];
  const places = Object.fromEntries(
    Object.entries(room).map(([name, { offset }]) => [name, offset]),
  ) as unknown as TrainingPlaces;
  const layout: TrainingLayout = {
    config,
    ...ends,
    outputNorm: ends.outputNorm.offset,
    layers: layers.map((layer) => layer()),
    buffers: bufferNames(config),
    maxTokens,
    chunkRows,
    checkpointing,
    optimizer,
    dropout: trainable.kind === 'lora' ? trainable.dropout : 0,
    scratch: scratchLayout,
    gradients,
    vectorGradients,
    adapters: new Map(adapters.flatMap((adapter, index) => adapterPlaces(adapter, index, gradientsOf))),
    segments: parameters.flatMap(({ segments }) => segments),
    eightBitTables: eightBit,
    places,
  };
  const sum = (numbers: readonly number[]) => numbers.reduce((all, n) => all + n, 0);
  const values = 4 * sum(layout.segments.map((segment) => segment.elements));
  const moments = sum(
    layout.segments.map((segment) => {
      const { m, end } = trainedRoom(segment.elements, optimizer);
      return end - m;
    }),
  );
  const frozen =
    sum(builder.matrices.map(({ info }) => (trained(info.name) ? 0 : info.bytes))) +
    sum(builder.vectors.map(({ info }) => (trained(info.name) ? 0 : 4 * elements(info.name))));
  return {
    layout,
    arenas,
    matrices: builder.matrices,
    vectors: builder.vectors,
    parameters,
    memory: {
      weights: frozen,
      parameters: values,
      gradients: values,
      optimizer: moments,
      activations: sum(arenas.arenaBytes) - frozen - 2 * values - moments,
    },
    activationBytes,
    tables,
    scratch,
  };
}

/** What the network calls its buffers; training has no memory for them. */
function bufferNames(config: Llama4Config): ActivationBuffers {
  const { embeddingLength: width, headDim, headCount, headCountKv, expertCount, vocabSize } = config;
  const columns = {
    hidden: width,
    normed: width,
    q: headCount * headDim,
    k: headCountKv * headDim,
    v: headCountKv * headDim,
    attended: headCount * headDim,
    angles: headDim,
    routerLogits: expertCount,
    expertInput: width,
    expertOutput: width,
    gate: 0,
    up: 0,
    logits: vocabSize,
  };
  return Object.fromEntries(
    Object.entries(columns).map(([name, count], index) => [name, { offset: index, columns: count }]),
  ) as unknown as ActivationBuffers;
}

/** Units of the optimizer's work, before addresses are known. */
function optimizerBlocks(
  builder: LayoutBuilder,
  adapters: readonly PlannedAdapter[],
  learns: (name: string) => boolean,
): number {
  const blocks = (elements: number) => Math.ceil(elements / OPTIMIZER_BLOCK);
  const ofPieces = (columns: number, pieces: readonly Piece[]) =>
    pieces.reduce((sum, { rows }) => sum + blocks(rows * columns), 0);
  let count = 0;
  for (const { a, b } of adapters) count += ofPieces(a.columns, a.pieces) + ofPieces(b.columns, b.pieces);
  for (const { info, pieces } of builder.matrices) {
    if (learns(info.name)) count += ofPieces(info.shape[0]!, pieces);
  }
  for (const { info } of builder.vectors) count += learns(info.name) ? blocks(elementCount(info.shape)) : 0;
  return count;
}
