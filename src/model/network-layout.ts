import type { Llama4Config } from '../convert/llama4-config.js';
import type { Buffer } from '../engine/buffers.js';
import type { InputSquares, Matrix } from '../engine/matrix.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import type { LayoutBuilder } from './layout-builder.js';

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

/** The weights of one layer. */
export interface NetworkLayer {
  readonly attnNorm: number;
  readonly ffnNorm: number;
  readonly q: Matrix;
  readonly k: Matrix;
  readonly v: Matrix;
  readonly output: Matrix;
  readonly feedForward: FeedForward;
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

/** What the network needs to know of where things are. */
export interface NetworkLayout {
  readonly config: Llama4Config;
  readonly tokenEmbedding: Matrix;
  readonly outputNorm: number;
  readonly output: Matrix;
  readonly layers: readonly NetworkLayer[];
  readonly buffers: ActivationBuffers;
}

/** Makes room for the embeddings and what follows the last layer. The norm's address is there after `settle`. */
export function planEnds(
  { embeddingLength: width, vocabSize }: Llama4Config,
  tensors: ReadonlyMap<string, TensorInfo>,
  builder: LayoutBuilder,
) {
  const tokenEmbedding = builder.matrix('token_embd.weight', width, vocabSize, undefined, undefined, 'off');
  // Tied models have no output matrix of their own.
  const tied = !tensors.has('output.weight');
  const output = tied ? tokenEmbedding : builder.matrix('output.weight', width, vocabSize);
  return { tokenEmbedding, output, outputNorm: builder.vector('output_norm.weight', width) };
}

/**
 * Makes room for the weights of layer `i`. `layer` is to be called after `settle`.
 * @param placeExperts whether routed experts get places
 */
export function planLayer(config: Llama4Config, i: number, builder: LayoutBuilder, placeExperts = true) {
  const { embeddingLength: width, headDim, headCount, headCountKv, expertCount } = config;
  const qWidth = headCount * headDim;
  const kvWidth = headCountKv * headDim;
  const name = (part: string) => `blk.${i}.${part}.weight`;
  const norms = {
    attn: builder.vector(name('attn_norm'), width),
    ffn: builder.vector(name('ffn_norm'), width),
  };
  const attentionInput = builder.squares(width);
  const attention = {
    q: builder.matrix(name('attn_q'), width, qWidth, attentionInput),
    k: builder.matrix(name('attn_k'), width, kvWidth, attentionInput),
    v: builder.matrix(name('attn_v'), width, kvWidth, attentionInput),
    output: builder.matrix(name('attn_output'), qWidth, width, builder.squares(qWidth)),
  };
  const inner = config.moeLayers[i] ? config.expertFeedForwardLength : config.feedForwardLength;
  const input = builder.squares(width);
  const expertInput = config.moeLayers[i] ? builder.squares(width, expertCount) : undefined;
  const experts = (part: string, columns: number, rows: number, squares?: InputSquares) =>
    placeExperts
      ? builder.matrix(name(part), columns, rows, squares, expertCount)
      : builder.unplacedExperts(name(part), columns, rows, squares, expertCount);
  const feedForward: FeedForward = config.moeLayers[i]
    ? {
        kind: 'moe',
        router: builder.matrix(name('ffn_gate_inp'), width, expertCount, builder.squares(width)),
        gateExperts: experts('ffn_gate_exps', width, inner, expertInput),
        upExperts: experts('ffn_up_exps', width, inner, expertInput),
        downExperts: experts('ffn_down_exps', inner, width, builder.squares(inner, expertCount)),
        sharedGate: builder.matrix(name('ffn_gate_shexp'), width, inner, input),
        sharedUp: builder.matrix(name('ffn_up_shexp'), width, inner, input),
        sharedDown: builder.matrix(name('ffn_down_shexp'), inner, width, builder.squares(inner)),
      }
    : {
        kind: 'dense',
        gate: builder.matrix(name('ffn_gate'), width, inner, input),
        up: builder.matrix(name('ffn_up'), width, inner, input),
        down: builder.matrix(name('ffn_down'), inner, width, builder.squares(inner)),
      };
  const layer = (): NetworkLayer => ({
    ...attention,
    feedForward,
    attnNorm: norms.attn.offset,
    ffnNorm: norms.ffn.offset,
  });
  if (feedForward.kind === 'dense') return { layer };
  const { gateExperts, upExperts, downExperts } = feedForward;
  return { layer, expertMatrices: [gateExperts, upExperts, downExperts] as const };
}
