import { createHash } from 'node:crypto';
import { CriaError } from '../base/errors.js';
import { openVision } from '../convert/open-vision.js';
import { visionConfigFromMetadata } from '../convert/vision-config.js';
import type { SimdBuild } from '../engine/kernels.js';
import type { TensorSource } from '../formats/tensor-source.js';
import type { EmbeddingRows } from '../model/embedding-rows.js';
import type { Tokenizer } from '../model/tokenizer/index.js';
import { decodePicture, type PictureLimits } from '../model/vision/decode-picture.js';
import type { TileGrid } from '../model/vision/tile-grid.js';
import { tilesOf } from '../model/vision/tiles.js';
import {
  PICTURE_TOKENS,
  type PictureToken,
  pictureTokens,
  tilesWithin,
} from '../model/vision/token-layout.js';
import { VisionRuntime } from '../model/vision/vision-runtime.js';
import { visionMemory } from '../plan/vision-memory.js';

/** A picture as a prompt of one model takes it. */
export interface EncodedImage {
  /** Its tokens: special ones, and negative ids for the rows of the vision tower. */
  readonly ids: readonly number[];
  /** Tiles it was cut into; where there are several, the whole picture was encoded as well. */
  readonly grid: TileGrid;
}

export interface EncodeImageOptions extends PictureLimits {
  /** Cut the picture into fewer tiles, so that it has at most this many tokens (but one tile it always has). */
  readonly maxTokens?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What pictures are encoded for. */
export interface ImageTarget {
  readonly embeddingLength: number;
  readonly embeddings: EmbeddingRows;
  readonly tokenizer: Tokenizer;
  readonly threads: number;
  readonly simd?: SimdBuild;
}

/**
 * Opens the vision tower of an mmproj file or a checkpoint folder, for a text model of the given width. Throws what
 * `openVision` and `visionConfigFromMetadata` throw, and `mmproj-mismatch` (unsupported) for the tower of another
 * model.
 */
export async function openTower(path: string, embeddingLength: number): Promise<TensorSource> {
  const source = await openVision(path);
  try {
    const { projectionLength } = visionConfigFromMetadata(source.metadata, source.tensors, path);
    if (projectionLength === embeddingLength) return source;
    throw new CriaError(
      'unsupported',
      'mmproj-mismatch',
      `'${path}': expected the vision tower of a model of width ${embeddingLength}, found one for ${projectionLength}`,
    );
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Bytes of the tower at a path: its weights, and all the memory it will take. Throws as `openTower`. */
export async function measureTower(
  path: string,
  embeddingLength: number,
  threads: number,
): Promise<{ readonly weights: number; readonly memory: number }> {
  const source = await openTower(path, embeddingLength);
  try {
    const config = visionConfigFromMetadata(source.metadata, source.tensors, path);
    const weights = [...source.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return { weights, memory: visionMemory(config, source.tensors, threads) };
  } finally {
    await source.close();
  }
}

/**
 * Pictures to tokens, through the vision tower at a path, which is loaded with the first picture. Pictures seen
 * before are known by their bytes, as long as the model holds their rows.
 */
export class ImageEncoder {
  readonly #path: string;
  readonly #target: ImageTarget;
  readonly #known = new Map<string, EncodedImage>();
  #tower: VisionRuntime | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(path: string, target: ImageTarget) {
    this.#path = path;
    this.#target = target;
  }

  /** See `Model.encodeImage`. Calls take turns. */
  encode(bytes: Uint8Array, options: EncodeImageOptions): Promise<EncodedImage> {
    const result = this.#queue.then(() => this.#encode(bytes, options));
    this.#queue = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#tower?.close();
  }

  async #encode(
    bytes: Uint8Array,
    { maxTokens = Number.POSITIVE_INFINITY, onProgress, signal, ...limits }: EncodeImageOptions,
  ): Promise<EncodedImage> {
    const { embeddings } = this.#target;
    for (const [key, { ids }] of this.#known) {
      if (!embeddings.has(ids.find((id) => id < 0)!)) this.#known.delete(key);
    }
    const key = `${createHash('sha256').update(bytes).digest('hex')} ${maxTokens}`;
    const known = this.#known.get(key);
    if (known) return known;
    const specials = specialIds(this.#target.tokenizer);
    const picture = await decodePicture(bytes, limits);
    const tower = await this.#loadTower(signal);
    const { tileOptions, rowsPerTile } = tower;
    const maxTiles = tilesWithin(maxTokens, rowsPerTile, tileOptions.maxTiles);
    const tiles = await tilesOf(picture, { ...tileOptions, maxTiles });
    const { rows } = await tower.encode(tiles, { onProgress, signal });
    const patches = embeddings.add(rows).values();
    const ids = pictureTokens(tiles.grid, rowsPerTile).map((token) =>
      token === 'patch' ? patches.next().value! : specials[token],
    );
    const encoded = { ids, grid: tiles.grid };
    this.#known.set(key, encoded);
    return encoded;
  }

  async #loadTower(signal: AbortSignal | undefined): Promise<VisionRuntime> {
    if (this.#tower) return this.#tower;
    const { threads, simd, embeddingLength } = this.#target;
    const source = await openTower(this.#path, embeddingLength);
    try {
      this.#tower = await VisionRuntime.load(source, { threads, simd, signal });
      return this.#tower;
    } finally {
      await source.close();
    }
  }
}

function specialIds(tokenizer: Tokenizer): Record<PictureToken, number> {
  const entries = Object.entries(PICTURE_TOKENS).map(([token, text]) => {
    const [id, ...more] = tokenizer.encode(text, { parseSpecial: true });
    if (id === undefined || more.length > 0) {
      const message = `expected a vocabulary with the tokens of pictures, found none spelled ${text}`;
      throw new CriaError('unsupported', 'no-picture-tokens', message);
    }
    return [token, id];
  });
  return Object.fromEntries(entries);
}
