import { CriaError } from '../../base/errors.js';
import type { VisionConfig } from '../../convert/vision-config.js';
import type { ArenaPlan } from '../../engine/arena-plan.js';
import { ATTENTION_TOKENS, partialBytes } from '../../engine/attention.js';
import type { Buffer, Staging } from '../../engine/buffers.js';
import type { Matrix } from '../../engine/matrix.js';
import { laneScratchBytes } from '../../engine/operations.js';
import { ACTIVATION_GROUP, BYTE_BLOCK, laneRows, WORD_BLOCK } from '../../engine/products.js';
import type { TensorInfo } from '../../formats/tensor-source.js';
import { LayoutBuilder, type Placement } from '../layout-builder.js';

/** A matrix and the address of the vector that is added to its products. */
export interface Linear {
  readonly weight: Matrix;
  readonly bias: number;
}

/** Addresses of a layer norm's factors and of what it adds. */
export interface Norm {
  readonly weight: number;
  readonly bias: number;
}

export interface VisionLayerLayout {
  readonly inputNorm: Norm;
  readonly feedForwardNorm: Norm;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly output: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** Activations of one step, in the home arena; T tokens: patches of every tile, each tile's class token last. */
export interface VisionBuffers {
  /** [T][channels × patch²]; the class tokens' rows stay zero. */
  readonly patches: Buffer;
  readonly hidden: Buffer;
  readonly normed: Buffer;
  readonly q: Buffer;
  readonly k: Buffer;
  readonly v: Buffer;
  /** The same head by head, [tiles][heads][tokens of a tile][head's width]. */
  readonly qHeads: Buffer;
  readonly kHeads: Buffer;
  readonly vHeads: Buffer;
  readonly inner: Buffer;
  readonly angles: Buffer;
  /** [tokens for the text model][…] */
  readonly shuffled: Buffer;
  readonly adapted: Buffer;
  readonly features: Buffer;
  readonly rows: Buffer;
}

/** Where everything of a loaded tower is; the same in every worker, and structured-cloneable. */
export interface VisionLayout {
  readonly config: VisionConfig;
  /** Tiles that one step takes at most. */
  readonly batchTiles: number;
  /** Patches and the class token. */
  readonly tokensPerTile: number;
  /** Rows a tile gives the text model. */
  readonly rowsPerTile: number;
  readonly patchEmbedding: Matrix;
  readonly classEmbedding: number;
  readonly positions: Matrix;
  readonly preNorm: Norm;
  readonly postNorm: Norm;
  readonly layers: readonly VisionLayerLayout[];
  readonly adapter: readonly [Matrix, Matrix];
  readonly projector: Matrix;
  readonly buffers: VisionBuffers;
  readonly staging: Staging;
}

export interface VisionPlan {
  readonly layout: VisionLayout;
  readonly arenas: ArenaPlan;
  readonly matrices: readonly Placement[];
  readonly vectors: readonly { readonly info: TensorInfo; readonly offset: number }[];
  readonly tables: number;
  readonly scratch: number;
  readonly scratchBytes: number;
  readonly bytes: { readonly weights: number };
}

export interface VisionPlanOptions {
  readonly threads: number;
  readonly tablesBytes: number;
  /** Largest arena; only tests make it small. */
  readonly arenaLimit?: number;
}

/** Tokens of a batch, so that every thread has work and memory stays small. */
const BATCH_TOKENS = { perThread: 256, most: 4096 };

/** Queries of one head that share a pass over the keys; the kernel takes five at a time. */
export const QUERY_ROWS = 75;

/**
 * Decides where each weight and buffer of a Llama 4 vision tower goes. Pure. Throws `missing-tensor`,
 * `bad-tensor-shape`, and `unsupported-config` for widths the kernels cannot divide.
 */
export function planVision(
  config: VisionConfig,
  tensors: ReadonlyMap<string, TensorInfo>,
  options: VisionPlanOptions,
): VisionPlan {
  const { embeddingLength: width, feedForwardLength, headCount, scaleFactor } = config;
  checkWidths(config);
  const patches = (config.imageSize / config.patchSize) ** 2;
  const tokensPerTile = patches + 1;
  const rowsPerTile = patches / scaleFactor ** 2;
  const batchTokens = Math.min(options.threads * BATCH_TOKENS.perThread, BATCH_TOKENS.most);
  const batchTiles = Math.max(1, Math.round(batchTokens / tokensPerTile));
  const tokens = batchTiles * tokensPerTile;
  const rows = batchTiles * rowsPerTile;
  const patchWidth = config.channels * config.patchSize ** 2;
  const shuffledWidth = width * scaleFactor ** 2;

  const builder = new LayoutBuilder(tensors, false);
  const norm = (name: string) => ({
    weight: builder.vector(`${name}.weight`, width),
    bias: builder.vector(`${name}.bias`, width),
  });
  const linear = (name: string, columns: number, outputs: number) => ({
    weight: builder.matrix(`${name}.weight`, columns, outputs),
    bias: builder.vector(`${name}.bias`, outputs),
  });
  const patchEmbedding = builder.matrix('v.patch_embd.weight', patchWidth, width);
  const classEmbedding = builder.vector('v.class_embd', width);
  const positions = builder.matrix('v.position_embd.weight', width, tokensPerTile);
  const preNorm = norm('v.pre_ln');
  const postNorm = norm('v.post_ln');
  const layers = Array.from({ length: config.layerCount }, (_, i) => {
    const part = (name: string) => `v.blk.${i}.${name}`;
    return {
      inputNorm: norm(part('ln1')),
      feedForwardNorm: norm(part('ln2')),
      q: linear(part('attn_q'), width, width),
      k: linear(part('attn_k'), width, width),
      v: linear(part('attn_v'), width, width),
      output: linear(part('attn_out'), width, width),
      up: linear(part('ffn_up'), width, feedForwardLength),
      down: linear(part('ffn_down'), feedForwardLength, width),
    };
  });
  const adapter = [
    builder.matrix('mm.model.mlp.1.weight', shuffledWidth, config.adapterInput),
    builder.matrix('mm.model.mlp.2.weight', config.adapterInput, config.adapterOutput),
  ] as const;
  const projector = builder.matrix('mm.model.fc.weight', config.adapterOutput, config.projectionLength);

  const buffers: VisionBuffers = {
    patches: builder.buffer(tokens, patchWidth),
    hidden: builder.buffer(tokens, width),
    normed: builder.buffer(tokens, width),
    q: builder.buffer(tokens, width),
    k: builder.buffer(tokens, width),
    v: builder.buffer(tokens, width),
    qHeads: builder.buffer(tokens, width),
    kHeads: builder.buffer(tokens, width),
    vHeads: builder.buffer(tokens, width),
    inner: builder.buffer(tokens, feedForwardLength),
    angles: builder.buffer(tokensPerTile, width / headCount),
    shuffled: builder.buffer(rows, shuffledWidth),
    adapted: builder.buffer(rows, config.adapterInput),
    features: builder.buffer(rows, config.adapterOutput),
    rows: builder.buffer(rows, config.projectionLength),
  };

  const widest = Math.max(
    patchWidth,
    width,
    feedForwardLength,
    shuffledWidth,
    config.adapterInput,
    config.adapterOutput,
    config.projectionLength,
  );
  const { threads } = options;
  const staged = tokens * Math.max(patchWidth, width, feedForwardLength, shuffledWidth / scaleFactor ** 2);
  const stagedRows = rows * Math.max(shuffledWidth, config.adapterInput, config.adapterOutput);
  const stagedFloats = Math.ceil(Math.max(staged, stagedRows) / ACTIVATION_GROUP) * ACTIVATION_GROUP;
  const scratch = laneScratchBytes(widest, width / headCount, QUERY_ROWS / ATTENTION_TOKENS);
  const scratchBytes = Math.ceil(scratch / 64) * 64;
  const laneOutputBytes = 4 * tokens * laneRows(widest, threads);
  const lanePartialBytes = partialBytes(1, QUERY_ROWS, width / headCount);
  const arenas = builder.settle(
    [
      options.tablesBytes,
      scratchBytes * threads,
      stagedFloats * 4,
      (stagedFloats / ACTIVATION_GROUP) * BYTE_BLOCK,
      (stagedFloats / ACTIVATION_GROUP) * WORD_BLOCK,
      laneOutputBytes * threads,
      lanePartialBytes * threads,
    ],
    options.arenaLimit,
  );
  const [tables, scratchAt, x, byteBlocks, wordBlocks, y, partials] = arenas.common as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const settledNorm = ({ weight, bias }: ReturnType<typeof norm>): Norm => ({
    weight: weight.offset,
    bias: bias.offset,
  });
  const settled = ({ weight, bias }: ReturnType<typeof linear>): Linear => ({ weight, bias: bias.offset });
  return {
    layout: {
      config,
      batchTiles,
      tokensPerTile,
      rowsPerTile,
      patchEmbedding,
      classEmbedding: classEmbedding.offset,
      positions,
      preNorm: settledNorm(preNorm),
      postNorm: settledNorm(postNorm),
      layers: layers.map(({ inputNorm, feedForwardNorm, ...linears }) => ({
        inputNorm: settledNorm(inputNorm),
        feedForwardNorm: settledNorm(feedForwardNorm),
        q: settled(linears.q),
        k: settled(linears.k),
        v: settled(linears.v),
        output: settled(linears.output),
        up: settled(linears.up),
        down: settled(linears.down),
      })),
      adapter,
      projector,
      buffers,
      staging: {
        x,
        byteBlocks,
        wordBlocks,
        y,
        laneOutputBytes,
        partials,
        partialBytes: lanePartialBytes * threads,
      },
    },
    arenas,
    matrices: builder.matrices,
    vectors: builder.vectors,
    tables,
    scratch: scratchAt,
    scratchBytes,
    bytes: { weights: builder.matrices.reduce((sum, { info }) => sum + info.bytes, 0) },
  };
}

function checkWidths(config: VisionConfig): void {
  const headDim = config.embeddingLength / config.headCount;
  const patchWidth = config.channels * config.patchSize ** 2;
  for (const [what, value] of [
    ['a head', headDim],
    ['a patch', patchWidth],
    ['the feed-forward part', config.feedForwardLength],
    ['the adapter', config.adapterInput],
    ['the features', config.adapterOutput],
    ['the projection', config.projectionLength],
  ] as const) {
    if (value % 4 !== 0) {
      const message = `the vision tower: expected the width of ${what} to be a multiple of 4, found ${value}`;
      throw new CriaError('unsupported', 'unsupported-config', message);
    }
  }
}
