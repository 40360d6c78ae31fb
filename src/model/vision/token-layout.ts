import type { TileGrid } from './tile-grid.js';

/** The special tokens around and between pictures, by their spelling in Llama 4's vocabulary. */
export const PICTURE_TOKENS = {
  start: '<|image_start|>',
  end: '<|image_end|>',
  /** Before the tile that shows the whole picture; templates write it where a picture stands. */
  picture: '<|image|>',
  /** Stands for one row of the vision tower's output. */
  patch: '<|patch|>',
  betweenTiles: '<|tile_x_separator|>',
  afterRow: '<|tile_y_separator|>',
} as const;

export type PictureToken = keyof typeof PICTURE_TOKENS;

/** The most tiles, up to `maxTiles`, with which no picture has more than `maxTokens` tokens; one at least. */
export function tilesWithin(maxTokens: number, patchesPerTile: number, maxTiles: number): number {
  let tiles = maxTiles;
  // A separator follows every tile.
  while (tiles > 1 && (tiles + 1) * patchesPerTile + tiles + 3 > maxTokens) tiles--;
  return tiles;
}

/**
 * The tokens of a picture: its tiles row by row with separators where there are several, then the whole picture.
 * `patch` occurs once per row of the tower's output, in the order of its rows (transformers' processing_llama4.py).
 */
export function pictureTokens({ rows, columns }: TileGrid, patchesPerTile: number): PictureToken[] {
  const tokens: PictureToken[] = ['start'];
  const patches = new Array<PictureToken>(patchesPerTile).fill('patch');
  if (rows * columns > 1) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (column > 0) tokens.push('betweenTiles');
        tokens.push(...patches);
      }
      tokens.push('afterRow');
    }
  }
  tokens.push('picture', ...patches, 'end');
  return tokens;
}
