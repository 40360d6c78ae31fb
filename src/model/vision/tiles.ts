import { setImmediate as othersTurn } from 'node:timers/promises';
import { encodeBf16 } from '../../quant/encode/float.js';
import { decodeBf16 } from '../../quant/float.js';
import type { Picture } from './picture.js';
import { resizePicture } from './resize.js';
import { fitTiles, type TileGrid } from './tile-grid.js';

export interface TileOptions {
  /** Pixels along each side of a tile. */
  readonly side: number;
  /** Most tiles of a picture, the global one not counted. */
  readonly maxTiles: number;
  /** Per channel. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A picture as the vision tower takes it. */
export interface Tiles {
  readonly grid: TileGrid;
  /** Tiles row by row and, where there are several, the whole picture as one more. */
  readonly count: number;
  /** f32 `[count][3][side][side]`, normalised. */
  readonly pixels: Float32Array;
}

/** Cuts a picture into normalised tiles as Llama 4's image processor does. Pure but for taking turns with others. */
export async function tilesOf(picture: Picture, options: TileOptions): Promise<Tiles> {
  const { side } = options;
  const { grid, size } = fitTiles(picture, side, options.maxTiles);
  const parts = grid.rows * grid.columns;
  const count = parts > 1 ? parts + 1 : parts;
  const levels = options.mean.map((mean, channel) => normalisedLevels(mean, options.std[channel]!));
  const pixels = new Float32Array(count * 3 * side * side);
  const fitted = await resizePicture(picture, size);
  for (let tile = 0; tile < parts; tile++) {
    await othersTurn();
    const left = (tile % grid.columns) * side;
    const top = Math.floor(tile / grid.columns) * side;
    writeTile(fitted, left, top, side, levels, pixels.subarray(tile * 3 * side * side));
  }
  if (count > parts) {
    const whole = await resizePicture(picture, { width: side, height: side });
    writeTile(whole, 0, 0, side, levels, pixels.subarray(parts * 3 * side * side));
  }
  return { grid, count, pixels };
}

/** One tile's planes, from the square of `picture` at (left, top); black where the picture does not reach. */
function writeTile(
  { width, height, rgb }: Picture,
  left: number,
  top: number,
  side: number,
  levels: readonly Float32Array[],
  target: Float32Array,
): void {
  for (const [channel, values] of levels.entries()) {
    let at = channel * side * side;
    for (let y = top; y < top + side; y++) {
      for (let x = left; x < left + side; x++) {
        target[at++] = values[y < height && x < width ? rgb[(y * width + x) * 3 + channel]! : 0]!;
      }
    }
  }
}

/** What each byte becomes. Every step is rounded to bfloat16, as in transformers and Meta's own code. */
function normalisedLevels(mean: number, std: number): Float32Array {
  const [roundedMean, roundedStd] = bfloat16(Float32Array.of(mean, std)) as unknown as [number, number];
  const rescaled = bfloat16(Float32Array.from({ length: 256 }, (_, byte) => byte * Math.fround(1 / 255)));
  const centred = bfloat16(rescaled.map((value) => value - roundedMean));
  return bfloat16(centred.map((value) => value / roundedStd));
}

function bfloat16(values: Float32Array): Float32Array {
  const bytes = new Uint8Array(values.length * 2);
  encodeBf16(values, bytes, values.length);
  const rounded = new Float32Array(values.length);
  decodeBf16(bytes, rounded);
  return rounded;
}
