import type { Size } from './picture.js';

/** How a picture is cut into square tiles. */
export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
}

/** How a picture is put on its tiles: resized to `size`, in the top left corner of `grid`. */
export interface TileFit {
  readonly grid: TileGrid;
  readonly size: Size;
}

/**
 * Every grid of at most `maxTiles` tiles, in the order of transformers' `find_supported_resolutions`: by aspect
 * ratio as first met going down from the most tiles, the order deciding between grids of equal area.
 */
export function tileGrids(maxTiles: number): TileGrid[] {
  const byRatio = new Map<number, TileGrid[]>();
  for (let tiles = maxTiles; tiles >= 1; tiles--) {
    for (let rows = 1; rows <= tiles; rows++) {
      if (tiles % rows !== 0) continue;
      const grid = { rows, columns: tiles / rows };
      const ratio = rows / grid.columns;
      byRatio.set(ratio, [...(byRatio.get(ratio) ?? []), grid]);
    }
  }
  return [...byRatio.values()].flat();
}

/**
 * The tiles and the size within them of a picture, as Llama 4's image processor chooses them: the grid that needs
 * the least enlarging, else the least shrinking, among those the smallest; the picture itself is never enlarged past
 * one tile's side. Ratios are float32, as in transformers. Pure.
 */
export function fitTiles(picture: Size, tileSide: number, maxTiles: number): TileFit {
  const { width, height } = picture;
  const grids = tileGrids(maxTiles);
  const scales = grids.map(({ rows, columns }) =>
    Math.min(Math.fround((columns * tileSide) / width), Math.fround((rows * tileSide) / height)),
  );
  const enlarging = scales.filter((scale) => scale >= 1);
  const scale = enlarging.length > 0 ? Math.min(...enlarging) : Math.max(...scales);
  const area = ({ rows, columns }: TileGrid) => rows * columns;
  const grid = grids
    .filter((_, i) => scales[i] === scale)
    .reduce((best, next) => (area(next) < area(best) ? next : best));
  const room = {
    width: Math.min(Math.max(width, tileSide), grid.columns * tileSide),
    height: Math.min(Math.max(height, tileSide), grid.rows * tileSide),
  };
  return { grid, size: sizeWithin(picture, room) };
}

/** The largest size of the picture's proportions within `room`, at least one pixel each way. */
function sizeWithin({ width, height }: Size, room: Size): Size {
  const across = room.width / width;
  const down = room.height / height;
  if (across < down) {
    return { width: room.width, height: clamp(Math.floor(height * across), room.height) };
  }
  return { width: clamp(Math.floor(width * down), room.width), height: room.height };
}

function clamp(value: number, largest: number): number {
  return Math.max(1, Math.min(value, largest));
}
