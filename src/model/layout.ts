import { CriaError } from '../base/errors.js';
import type { Llama4Config } from '../convert/llama4-config.js';
import { type Address, type ArenaPlan, planArenas } from '../engine/arena-plan.js';
import type { InputSquares, Matrix, Piece } from '../engine/matrix.js';
import {
  ACTIVATION_GROUP,
  ATTENTION_TOKENS,
  type Buffer,
  BYTE_BLOCK,
  type LayerCache,
  laneRows,
  laneScratchBytes,
  type Staging,
  WORD_BLOCK,
} from '../engine/operations.js';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { codeRange, hasMins, unpackedGroup } from '../quant/unpacked-layout.js';

export type CacheType = 'f32' | 'f16';

/** The feed-forward part of one layer. Norms are addresses of vectors in the home arena. */
export type FeedForward =
  | { readonly kind: 'dense'; readonly gate: Matrix; readonly up: Matrix; readonly down: Matrix }
  | {
      readonly kind: 'moe';
      readonly router: Matrix;
      readonly gateExperts: Matrix;
      readonly upExperts: Matrix;
      readonly downExperts: Matrix;
      readonly sharedGate: Matrix;
      readonly sharedUp: Matrix;
      readonly sharedDown: Matrix;
    };

export interface LayerLayout {
  readonly attnNorm: number;
  readonly ffnNorm: number;
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly output: Matrix;
  readonly feedForward: FeedForward;
  readonly cache: LayerCache;
}

/** Activations of one step, in the home arena. */
export interface ActivationBuffers {
  readonly hidden: Buffer;
  readonly normed: Buffer;
  readonly q: Buffer;
  readonly k: Buffer;
  readonly v: Buffer;
  readonly attended: Buffer;
  readonly angles: Buffer;
  readonly routerLogits: Buffer;
  readonly expertInput: Buffer;
  readonly expertOutput: Buffer;
  readonly gate: Buffer;
  readonly up: Buffer;
  readonly logits: Buffer;
}

/** Where everything of a loaded model is; the same in every worker, and structured-cloneable. */
export interface ModelLayout {
  readonly config: Llama4Config;
  readonly batchSize: number;
  /** Rows of logits one step can compute. */
  readonly maxOutputs: number;
  readonly tokenEmbedding: Matrix;
  readonly outputNorm: number;
  readonly output: Matrix;
  /** Measures the input of `output` at every position, whether or not its logits are wanted. */
  readonly outputSquares?: InputSquares;
  readonly layers: readonly LayerLayout[];
  readonly buffers: ActivationBuffers;
  readonly staging: Staging;
}

/** A tensor's place: pieces for matrices, one home address for vectors. */
export interface Placement {
  readonly info: TensorInfo;
  readonly pieces: readonly Piece[];
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
  readonly bytes: { readonly weights: number; readonly cache: number; readonly compute: number };
}

export interface PlanOptions {
  readonly threads: number;
  readonly batchSize: number;
  readonly contextSize: number;
  readonly cacheType: CacheType;
  readonly tablesBytes: number;
  /** Make room to measure the inputs of every matrix. */
  readonly collect?: boolean;
  /** Largest arena; only tests make it small. */
  readonly arenaLimit?: number;
}

/** Pieces larger than this are cut, so that arenas fill up evenly. */
const MAX_PIECE_BYTES = 2 ** 30;
/** Logits of one step stay below this, whatever the vocabulary. */
const MAX_LOGITS_BYTES = 64 * 2 ** 20;

/** What the number of cached positions depends on. */
export type CacheShape = Pick<Llama4Config, 'ropeLayers' | 'attentionChunkSize'>;

/** Positions a layer's cache holds: one chunk for chunked layers, the whole context for the others. Pure. */
export function cacheCapacity(config: CacheShape, layer: number, contextSize: number): number {
  const chunked = config.ropeLayers[layer]! && config.attentionChunkSize > 0;
  return chunked ? Math.min(contextSize, config.attentionChunkSize) : contextSize;
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
  const { batchSize, contextSize } = options;
  const { embeddingLength: width, headDim, headCount, headCountKv, expertCount, vocabSize } = config;
  const qWidth = headCount * headDim;
  const kvWidth = headCountKv * headDim;

  // Sizes first, addresses after: every block gets an index now and is looked up in the plan at the end.
  const blockBytes: number[] = [];
  const homeBytes: number[] = [];
  let arenas: ArenaPlan;
  const later: (() => void)[] = [];

  const vectors: { info: TensorInfo; offset: number }[] = [];
  const matrices: Placement[] = [];

  const tensor = (name: string, shape: readonly number[]): TensorInfo => {
    const info = tensors.get(name);
    if (!info) throw new CriaError('bad-file', 'missing-tensor', `the model has no tensor '${name}'`);
    const found = info.shape.length < shape.length ? [...info.shape, 1] : info.shape;
    if (found.length !== shape.length || found.some((n, i) => n !== shape[i])) {
      throw new CriaError(
        'bad-file',
        'bad-tensor-shape',
        `tensor '${name}' has shape [${info.shape.join(', ')}], expected [${shape.join(', ')}]`,
      );
    }
    return info;
  };

  const vector = (name: string, length: number): { offset: number } => {
    const placed = { info: tensor(name, [length]), offset: 0 };
    const index = homeBytes.push(length * 4) - 1;
    later.push(() => {
      placed.offset = arenas.home[index]!;
    });
    vectors.push(placed);
    return placed;
  };

  const placePieces = (bytesPerRow: number, pieceRows: readonly number[]): Piece[] =>
    pieceRows.map((rows) => {
      const piece = { rows, arena: 0, offset: 0 };
      const index = blockBytes.push(rows * bytesPerRow) - 1;
      later.push(() => {
        Object.assign(piece, arenas.blocks[index] satisfies Address | undefined);
      });
      return piece;
    });

  const inputSquares = new Map<string, InputSquares>();
  const squaresOf = (columns: number, matrices = 1): InputSquares | undefined => {
    if (!options.collect) return undefined;
    const placed = { offset: 0, columns, matrices };
    const index = homeBytes.push(8 * matrices * (columns + 1)) - 1;
    later.push(() => {
      placed.offset = arenas.home[index]!;
    });
    return placed;
  };

  const matrix = (
    name: string,
    columns: number,
    rows: number,
    squares?: InputSquares,
    experts?: number,
  ): Matrix => {
    if (squares) inputSquares.set(name, squares);
    const info = tensor(name, experts === undefined ? [columns, rows] : [columns, rows, experts]);
    const { id, blockSize } = ggmlType(info.type);
    const bytesPerRow = rowBytes(info.type, columns);
    const float = blockSize === 1;
    const pieceRows =
      experts === undefined ? cutRows(rows, bytesPerRow) : new Array<number>(experts).fill(rows);
    const pieces = placePieces(bytesPerRow, pieceRows);
    matrices.push({ info, pieces });
    return {
      name,
      type: info.type,
      typeId: id,
      columns,
      rowBytes: bytesPerRow,
      blocks: columns / blockSize,
      float,
      group: float ? 0 : unpackedGroup(info.type),
      hasMins: !float && hasMins(info.type),
      minCode: float ? 0 : codeRange(info.type).min,
      maxCode: float ? 0 : codeRange(info.type).max,
      pieces,
      inputSquares: squares,
    };
  };

  let cacheBytes = 0;
  const cache = (capacity: number): LayerCache => {
    const bytesPerRow = headDim * (options.cacheType === 'f32' ? 4 : 2);
    const heads = new Array<number>(headCountKv).fill(2 * capacity);
    cacheBytes += 2 * headCountKv * capacity * bytesPerRow;
    return {
      typeId: options.cacheType === 'f32' ? 0 : 1,
      rowBytes: bytesPerRow,
      capacity,
      heads: placePieces(bytesPerRow, heads),
    };
  };

  // Tied models have no output matrix of their own.
  const outputName = tensors.has('output.weight') ? 'output.weight' : 'token_embd.weight';
  const output = matrix(outputName, width, vocabSize);
  const tokenEmbedding =
    outputName === 'token_embd.weight' ? output : matrix('token_embd.weight', width, vocabSize);
  const outputSquares = squaresOf(width);
  if (outputSquares) inputSquares.set(outputName, outputSquares);
  const outputNorm = vector('output_norm.weight', width);

  const layers = config.ropeLayers.map((_, i) => {
    const name = (part: string) => `blk.${i}.${part}.weight`;
    const norms = { attn: vector(name('attn_norm'), width), ffn: vector(name('ffn_norm'), width) };
    const attentionInput = squaresOf(width);
    const attention = {
      q: matrix(name('attn_q'), width, qWidth, attentionInput),
      k: matrix(name('attn_k'), width, kvWidth, attentionInput),
      v: matrix(name('attn_v'), width, kvWidth, attentionInput),
      output: matrix(name('attn_output'), qWidth, width, squaresOf(qWidth)),
    };
    const inner = config.moeLayers[i] ? config.expertFeedForwardLength : config.feedForwardLength;
    const input = squaresOf(width);
    const expertInput = config.moeLayers[i] ? squaresOf(width, expertCount) : undefined;
    const feedForward: FeedForward = config.moeLayers[i]
      ? {
          kind: 'moe',
          router: matrix(name('ffn_gate_inp'), width, expertCount, squaresOf(width)),
          gateExperts: matrix(name('ffn_gate_exps'), width, inner, expertInput, expertCount),
          upExperts: matrix(name('ffn_up_exps'), width, inner, expertInput, expertCount),
          downExperts: matrix(
            name('ffn_down_exps'),
            inner,
            width,
            squaresOf(inner, expertCount),
            expertCount,
          ),
          sharedGate: matrix(name('ffn_gate_shexp'), width, inner, input),
          sharedUp: matrix(name('ffn_up_shexp'), width, inner, input),
          sharedDown: matrix(name('ffn_down_shexp'), inner, width, squaresOf(inner)),
        }
      : {
          kind: 'dense',
          gate: matrix(name('ffn_gate'), width, inner, input),
          up: matrix(name('ffn_up'), width, inner, input),
          down: matrix(name('ffn_down'), inner, width, squaresOf(inner)),
        };
    return { norms, ...attention, feedForward, cache: cache(cacheCapacity(config, i, contextSize)) };
  });

  const innerWidth = Math.max(
    ...config.moeLayers.map((moe) => (moe ? config.expertFeedForwardLength : config.feedForwardLength)),
  );
  const expertRows = batchSize * Math.max(1, config.expertUsedCount);
  const maxOutputs = Math.max(1, Math.min(batchSize, Math.floor(MAX_LOGITS_BYTES / (4 * vocabSize))));

  const buffer = (rows: number, columns: number): Buffer => {
    const placed = { offset: 0, columns };
    const index = homeBytes.push(Math.max(1, rows * columns) * 4) - 1;
    later.push(() => {
      placed.offset = arenas.home[index]!;
    });
    return placed;
  };
  const buffers: ActivationBuffers = {
    hidden: buffer(batchSize, width),
    normed: buffer(batchSize, width),
    q: buffer(batchSize, qWidth),
    k: buffer(batchSize, kvWidth),
    v: buffer(batchSize, kvWidth),
    attended: buffer(batchSize, qWidth),
    angles: buffer(batchSize, headDim),
    routerLogits: buffer(batchSize, expertCount),
    expertInput: buffer(expertRows, width),
    expertOutput: buffer(expertRows, width),
    gate: buffer(expertRows, innerWidth),
    up: buffer(expertRows, innerWidth),
    logits: buffer(maxOutputs, vocabSize),
  };

  const widest = Math.max(width, qWidth, innerWidth);
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
  const common = [
    options.tablesBytes,
    scratchBytes * threads,
    staged * 4,
    (staged / ACTIVATION_GROUP) * BYTE_BLOCK,
    (staged / ACTIVATION_GROUP) * WORD_BLOCK,
    laneOutputBytes * threads,
  ];

  const request = { common, home: homeBytes, blocks: blockBytes };
  arenas = planArenas(options.arenaLimit === undefined ? request : { ...request, limit: options.arenaLimit });
  for (const settle of later) settle();

  const [tables, scratch, x, byteBlocks, wordBlocks, y] = arenas.common as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const weights = matrices.reduce((sum, { info }) => sum + info.bytes, 0);
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
      layers: layers.map(({ norms, ...layer }) => ({
        ...layer,
        attnNorm: norms.attn.offset,
        ffnNorm: norms.ffn.offset,
      })),
      buffers,
      staging: { x, byteBlocks, wordBlocks, y, laneOutputBytes },
    },
    arenas,
    matrices,
    vectors,
    inputSquares,
    tables,
    scratch,
    scratchBytes,
    bytes: { weights, cache: cacheBytes, compute: total - weights - cacheBytes },
  };
}

/** Row counts of the pieces of a matrix, each below MAX_PIECE_BYTES. */
function cutRows(rows: number, bytesPerRow: number): number[] {
  const perPiece = Math.max(8, Math.floor(MAX_PIECE_BYTES / bytesPerRow / 8) * 8);
  const pieces: number[] = [];
  for (let start = 0; start < rows; start += perPiece) pieces.push(Math.min(perPiece, rows - start));
  return pieces;
}
