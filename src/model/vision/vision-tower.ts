import type { Buffer } from '../../engine/buffers.js';
import type { Kernels } from '../../engine/kernels.js';
import type { Matrix } from '../../engine/matrix.js';
import type { Operations } from '../../engine/operations.js';
import { everyToken } from '../../engine/products.js';
import { ropeFrequencies } from '../rope.js';
import { type Norm, QUERY_ROWS, type VisionLayerLayout, type VisionLayout } from './vision-layout.js';

/**
 * Llama 4's vision tower, adapter and projector. Every lane runs the same calls and does its share of tokens, heads
 * or rows; the tokens of a step are the patches of its tiles, each tile followed by its class token.
 */
export class VisionTower {
  readonly #ops: Operations;
  readonly #layout: VisionLayout;
  readonly #kernels: Kernels;
  readonly #headDim: number;

  constructor(ops: Operations, layout: VisionLayout) {
    this.#ops = ops;
    this.#layout = layout;
    this.#kernels = ops.lane.home.kernels;
    this.#headDim = layout.config.embeddingLength / layout.config.headCount;
  }

  /**
   * Stage by stage, each on what the one before left, from patches of `tiles` tiles to rows for the text model,
   * [tiles × rowsPerTile][projectionLength]: the embedding, every layer, the adapter and projector.
   */
  forward(tiles: number, stage: number): void {
    const layer = this.#layout.layers[stage - 1];
    const tokens = tiles * this.#layout.tokensPerTile;
    if (stage === 0) {
      this.#prepareAngles();
      this.#embed(tokens);
    } else if (layer) {
      this.#attention(layer, tiles);
      this.#feedForward(layer, tokens);
    } else {
      this.#adapt(tiles, tokens);
    }
  }

  /** hidden = norm(patches × W + positions), class tokens from their own embedding. */
  #embed(tokens: number): void {
    const { buffers, patchEmbedding, positions, classEmbedding, preNorm, tokensPerTile } = this.#layout;
    const { patches, hidden } = buffers;
    const places = Int32Array.from({ length: tokens }, (_, i) => i % tokensPerTile);
    this.#ops.embed(positions, places, hidden);
    this.#ops.products.multiply(patches, everyToken(tokens), [
      { matrix: patchEmbedding, y: hidden, accumulate: true },
    ]);
    this.#eachShare(tokens, (t) => {
      const row = rowOf(hidden, t);
      if (places[t] === tokensPerTile - 1) this.#kernels.add(classEmbedding, row, hidden.columns);
      this.#normRow(hidden, preNorm, hidden, t);
    });
  }

  /** hidden += attention(norm(hidden)), tile by tile, every token seeing every other. */
  #attention(layer: VisionLayerLayout, tiles: number): void {
    const { buffers, tokensPerTile } = this.#layout;
    const { hidden, normed, q, k, v, qHeads, kHeads, vHeads, angles } = buffers;
    const kernels = this.#kernels;
    const headDim = this.#headDim;
    const heads = q.columns / headDim;
    const tokens = tiles * tokensPerTile;
    this.#eachShare(tokens, (t) => this.#normRow(hidden, layer.inputNorm, normed, t));
    this.#ops.products.multiply(normed, everyToken(tokens), [
      { matrix: layer.q.weight, y: q },
      { matrix: layer.k.weight, y: k },
      { matrix: layer.v.weight, y: v },
    ]);
    this.#eachShare(tokens, (t) => {
      const angle = rowOf(angles, t % tokensPerTile);
      for (const [buffer, { bias }, byHead] of [
        [q, layer.q, qHeads],
        [k, layer.k, kHeads],
        [v, layer.v, vHeads],
      ] as const) {
        const row = rowOf(buffer, t);
        kernels.add(bias, row, buffer.columns);
        if (buffer !== v) kernels.ropeInterleaved(row, angle, heads, headDim);
        if (buffer === q) kernels.scale(row, 1 / Math.sqrt(headDim), q.columns);
        this.#copyHeads(row, byHead, t, 'in');
      }
    });
    this.#attend(tiles * heads);
    this.#eachShare(tokens, (t) => {
      this.#copyHeads(rowOf(q, t), qHeads, t, 'out');
      kernels.add(layer.output.bias, rowOf(hidden, t), hidden.columns);
    });
    this.#ops.products.multiply(q, everyToken(tokens), [
      { matrix: layer.output.weight, y: hidden, accumulate: true },
    ]);
  }

  /**
   * Attention of each of `count` heads of tiles, whose results take the queries' place. To the kernel, tokens of a
   * head that see all keys are heads of one last token.
   */
  #attend(count: number): void {
    const { buffers, tokensPerTile, staging } = this.#layout;
    const { lane } = this.#ops;
    const dim = this.#headDim;
    const rowBytes = dim * 4;
    const partial = staging.partials + (lane.rank * staging.partialBytes) / lane.size;
    const headBytes = tokensPerTile * rowBytes;
    const blocks = Math.ceil(tokensPerTile / QUERY_ROWS);
    const { kernels, scratch } = lane.home;
    const [start, end] = lane.share(count * blocks);
    for (let unit = start; unit < end; unit++) {
      const head = Math.floor(unit / blocks) * headBytes;
      const first = (unit % blocks) * QUERY_ROWS;
      const rows = Math.min(QUERY_ROWS, tokensPerTile - first);
      const queries = buffers.qHeads.offset + head + first * rowBytes;
      const keys = buffers.kHeads.offset + head;
      const values = buffers.vHeads.offset + head;
      kernels.attendSpan(
        0,
        0,
        queries,
        0,
        rows,
        1,
        dim,
        keys,
        rowBytes,
        values,
        rowBytes,
        tokensPerTile - 1,
        tokensPerTile,
        partial,
        scratch,
      );
      kernels.finishAttention(partial, rows, 1, dim, queries, 0);
    }
    lane.barrier();
  }

  /** hidden += down(gelu(up(norm(hidden)))) */
  #feedForward(layer: VisionLayerLayout, tokens: number): void {
    const { hidden, normed, inner } = this.#layout.buffers;
    this.#eachShare(tokens, (t) => this.#normRow(hidden, layer.feedForwardNorm, normed, t));
    this.#ops.products.multiply(normed, everyToken(tokens), [{ matrix: layer.up.weight, y: inner }]);
    this.#eachShare(tokens, (t) => {
      this.#kernels.add(layer.up.bias, rowOf(inner, t), inner.columns);
      this.#kernels.gelu(rowOf(inner, t), inner.columns);
      this.#kernels.add(layer.down.bias, rowOf(hidden, t), hidden.columns);
    });
    this.#ops.products.multiply(inner, everyToken(tokens), [
      { matrix: layer.down.weight, y: hidden, accumulate: true },
    ]);
  }

  /** Squares of patches become one row each, which the adapter and the projector bring to the text model's width. */
  #adapt(tiles: number, tokens: number): void {
    const { buffers, adapter, projector, postNorm, config, tokensPerTile, rowsPerTile } = this.#layout;
    const { hidden, normed, shuffled, adapted, features, rows } = buffers;
    const { scaleFactor } = config;
    const side = config.imageSize / config.patchSize;
    const rowBytes = normed.columns * 4;
    const count = tiles * rowsPerTile;
    this.#eachShare(tokens, (t) => this.#normRow(hidden, postNorm, normed, t));
    this.#eachShare(count, (i) => {
      const [tile, square] = [Math.floor(i / rowsPerTile), i % rowsPerTile];
      const across = side / scaleFactor;
      const [top, left] = [Math.floor(square / across) * scaleFactor, (square % across) * scaleFactor];
      for (let y = 0; y < scaleFactor; y++) {
        const patch = tile * tokensPerTile + (top + y) * side + left;
        const target = rowOf(shuffled, i) + y * scaleFactor * rowBytes;
        const source = rowOf(normed, patch);
        this.#ops.lane.home.u8.copyWithin(target, source, source + scaleFactor * rowBytes);
      }
    });
    this.#multiplyGelu(shuffled, adapter[0], adapted, count);
    this.#multiplyGelu(adapted, adapter[1], features, count);
    this.#ops.products.multiply(features, everyToken(count), [{ matrix: projector, y: rows }]);
  }

  #multiplyGelu(x: Buffer, matrix: Matrix, y: Buffer, rows: number): void {
    this.#ops.products.multiply(x, everyToken(rows), [{ matrix, y }]);
    this.#eachShare(rows, (i) => this.#kernels.gelu(rowOf(y, i), y.columns));
  }

  /** Runs `work` for this lane's part of `count` items and meets the others. */
  #eachShare(count: number, work: (item: number) => void): void {
    const [start, end] = this.#ops.lane.share(count);
    for (let item = start; item < end; item++) work(item);
    this.#ops.lane.barrier();
  }

  #normRow(x: Buffer, { weight, bias }: Norm, y: Buffer, row: number): void {
    const { layerNormEps } = this.#layout.config;
    this.#kernels.layerNorm(rowOf(x, row), weight, bias, rowOf(y, row), x.columns, layerNormEps);
  }

  /** Between a token's row and its place in each head. */
  #copyHeads(row: number, byHead: Buffer, token: number, direction: 'in' | 'out'): void {
    const { tokensPerTile } = this.#layout;
    const bytes = this.#headDim * 4;
    const heads = byHead.columns / this.#headDim;
    const [tile, place] = [Math.floor(token / tokensPerTile), token % tokensPerTile];
    const at = byHead.offset + (tile * heads * tokensPerTile + place) * bytes;
    const stride = tokensPerTile * bytes;
    if (direction === 'in') this.#kernels.copyRows(row, bytes, at, stride, heads, bytes);
    else this.#kernels.copyRows(at, stride, row, bytes, heads, bytes);
  }

  /**
   * (cos, sin) per pair of a head's dimensions: the first half of the pairs turn with the patch's column, the others
   * with its row, both counted from 1; the class token does not turn.
   */
  #prepareAngles(): void {
    const { buffers, config, tokensPerTile } = this.#layout;
    const { f32 } = this.#ops.lane.home;
    const side = config.imageSize / config.patchSize;
    const frequencies = ropeFrequencies(config.ropeTheta, this.#headDim / 2);
    this.#eachShare(tokensPerTile, (t) => {
      const isClass = t === tokensPerTile - 1;
      const at = rowOf(buffers.angles, t) / 4;
      for (const [half, place] of [t % side, Math.floor(t / side)].entries()) {
        for (const [j, frequency] of frequencies.entries()) {
          const angle = isClass ? 0 : Math.fround((place + 1) * frequency);
          const pair = at + 2 * (half * frequencies.length + j);
          f32[pair] = Math.cos(angle);
          f32[pair + 1] = Math.sin(angle);
        }
      }
    });
  }
}

/** Address of row `index` of a buffer. */
function rowOf(buffer: Buffer, index: number): number {
  return buffer.offset + index * buffer.columns * 4;
}
