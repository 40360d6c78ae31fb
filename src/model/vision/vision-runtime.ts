import { createRequire } from 'node:module';
import { freemem } from 'node:os';
import { CriaError } from '../../base/errors.js';
import { computeThreads } from '../../base/processors.js';
import {
  normalisationFromMetadata,
  type VisionConfig,
  visionConfigFromMetadata,
} from '../../convert/vision-config.js';
import { createArenas } from '../../engine/arena-memories.js';
import { compileKernels, type SimdBuild } from '../../engine/kernels.js';
import { ThreadPool } from '../../engine/thread-pool.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { kernelTables } from '../../quant/kernel-tables.js';
import { loadWeights } from '../load-weights.js';
import type { TileOptions, Tiles } from './tiles.js';
import { planVision, type VisionLayout } from './vision-layout.js';
import { COMMAND, stageCount } from './vision-program.js';

const require = createRequire(import.meta.url);

export interface VisionRuntimeOptions {
  /** Worker threads; default: the processors this process may use. */
  readonly threads?: number;
  /** Build of the kernels; probed for when absent. */
  readonly simd?: SimdBuild;
  /** Largest WebAssembly memory; only tests make it small. */
  readonly arenaLimit?: number;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface EncodeOptions {
  /** Told of every stage of every batch of tiles. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What the tower makes of a picture's tiles. */
export interface EncodedTiles {
  /** The adapter's output, f32 `[tiles × rowsPerTile][adapterOutput]`. */
  readonly features: Float32Array;
  /** The same projected to the text model's width, f32 `[tiles × rowsPerTile][projectionLength]`. */
  readonly rows: Float32Array;
}

/** Published processors cut a picture into at most this many tiles; mmproj files do not say. */
const MAX_TILES = 16;

/** A Llama 4 vision tower in memory, one step at a time on worker threads of its own. */
export class VisionRuntime {
  readonly config: VisionConfig;
  /** How pictures have to be cut and normalised for this tower. */
  readonly tileOptions: TileOptions;
  /** Rows a tile gives the text model. */
  readonly rowsPerTile: number;
  readonly #layout: VisionLayout;
  readonly #pool: ThreadPool;
  readonly #home: Float32Array;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(layout: VisionLayout, pool: ThreadPool, home: Float32Array, tileOptions: TileOptions) {
    this.config = layout.config;
    this.tileOptions = tileOptions;
    this.rowsPerTile = layout.rowsPerTile;
    this.#layout = layout;
    this.#pool = pool;
    this.#home = home;
  }

  /**
   * Loads the tower of an open mmproj source. Throws `not-a-vision-file`, `bad-config`, `missing-tensor`,
   * `bad-tensor-shape`, and `not-enough-memory` before allocating.
   */
  static async load(source: TensorSource, options: VisionRuntimeOptions = {}): Promise<VisionRuntime> {
    const config = visionConfigFromMetadata(source.metadata, source.tensors, source.path);
    const { mean, std } = normalisationFromMetadata(source.metadata, source.path);
    const threads = options.threads ?? computeThreads();
    const tables = kernelTables();
    const plan = planVision(config, source.tensors, {
      threads,
      tablesBytes: tables.length,
      arenaLimit: options.arenaLimit,
    });
    const needed = plan.arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
    if (needed > freemem()) throw notEnoughMemory(needed, freemem());

    const module = await compileKernels(options.simd);
    const memories = createArenas(plan.arenas.arenaBytes, tables, plan.tables);
    const views = memories.map((memory) => new Uint8Array(memory.buffer));
    await loadWeights(source, plan, views, options);
    const { layout, scratch, scratchBytes } = plan;
    const pool = await ThreadPool.start({
      setup: { module, memories, tables: plan.tables, scratch, scratchBytes, lanes: threads },
      programPath: require.resolve('#vision-program'),
      init: layout,
      commandWords: COMMAND.words,
    });
    const tileOptions = { side: config.imageSize, maxTiles: MAX_TILES, mean, std };
    return new VisionRuntime(layout, pool, new Float32Array(memories[0]!.buffer), tileOptions);
  }

  /** Runs tiles through the tower; `signal` stops between stages (kind `cancelled`). Calls take turns. */
  encode(tiles: Tiles, options: EncodeOptions = {}): Promise<EncodedTiles> {
    const result = this.#queue.then(() => this.#encode(tiles, options));
    this.#queue = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    await this.#queue;
    await this.#pool.close();
  }

  async #encode({ count, pixels }: Tiles, { signal, onProgress }: EncodeOptions): Promise<EncodedTiles> {
    const { buffers, batchTiles, rowsPerTile } = this.#layout;
    const stages = stageCount(this.#layout);
    const features = new Float32Array(count * rowsPerTile * buffers.features.columns);
    const rows = new Float32Array(count * rowsPerTile * buffers.rows.columns);
    for (let first = 0; first < count; first += batchTiles) {
      const tiles = Math.min(batchTiles, count - first);
      for (let tile = 0; tile < tiles; tile++) this.#writePatches(pixels, first + tile, tile);
      for (let stage = 0; stage < stages; stage++) {
        if (signal?.aborted)
          throw new CriaError('cancelled', 'cancelled', 'encoding the picture was cancelled');
        await this.#pool.run((command) => {
          command[COMMAND.tiles] = tiles;
          command[COMMAND.stage] = stage;
        });
        onProgress?.(first * stages + tiles * (stage + 1), count * stages);
      }
      for (const [buffer, target] of [
        [buffers.features, features],
        [buffers.rows, rows],
      ] as const) {
        const perTile = rowsPerTile * buffer.columns;
        const start = buffer.offset / 4;
        target.set(this.#home.subarray(start, start + tiles * perTile), first * perTile);
      }
    }
    return { features, rows };
  }

  /** Tile `tile` of `pixels`, [channel][y][x], as the step's tile `place`, [patch][channel][y in it][x in it]. */
  #writePatches(pixels: Float32Array, tile: number, place: number): void {
    const { config, buffers, tokensPerTile } = this.#layout;
    const { channels, imageSize, patchSize } = config;
    const perSide = imageSize / patchSize;
    const { columns } = buffers.patches;
    const start = buffers.patches.offset / 4 + place * tokensPerTile * columns;
    const home = this.#home;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < imageSize; y++) {
        const line = ((tile * channels + channel) * imageSize + y) * imageSize;
        const inPatch = channel * patchSize ** 2 + (y % patchSize) * patchSize;
        for (let column = 0; column < perSide; column++) {
          const patch = Math.floor(y / patchSize) * perSide + column;
          const from = line + column * patchSize;
          home.set(pixels.subarray(from, from + patchSize), start + patch * columns + inPatch);
        }
      }
    }
    const classToken = start + (tokensPerTile - 1) * columns;
    home.fill(0, classToken, classToken + columns);
  }
}

function notEnoughMemory(needed: number, free: number): CriaError {
  const [needs, has] = [needed, free].map((bytes) => `${(bytes / 2 ** 30).toFixed(2)} GiB`);
  const message = `the vision tower needs ${needs} but ${has} of memory are free`;
  return new CriaError('resources', 'not-enough-memory', message);
}
