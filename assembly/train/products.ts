import { PANEL, copyPanels, copySixteenColumns, transposePanels } from './panels';
import { TILE_ROWS, multiplyColumnsTile, multiplyRowsTile } from './tiles';

// The three products of training, C (+)= A B, as blocks of B packed into panels of eight columns, which tiles of four
// rows of A meet.
//
// Every element of C is the same sum whatever the shape around it: blocks of 256 products, counted from the first, each
// a running sum from 0 in order, are added to C in order. So callers may divide rows and columns of C as they like;
// only the sum itself is not theirs to divide.
//
// Scratch: f32[32 panels][256][8] of B, f32[4][256][4] of A, f32[4][8] for tiles at C's edges.

/** Products in a block of a sum. */
const DEPTH: i32 = 256;
/** Columns of B packed at once: with the depth, what a second-level cache holds. */
const WIDTH: i32 = 256;
const PANELS_BYTES: usize = 4 * DEPTH * WIDTH;
const SOME_ROWS: i32 = 16;
const SOME_ROWS_BYTES: usize = 4 * DEPTH * SOME_ROWS;
const TILE_BYTES: usize = 4 * TILE_ROWS * PANEL;

export function productScratchBytes(): usize {
  return PANELS_BYTES + SOME_ROWS_BYTES + TILE_BYTES;
}

/** Part of a tile to C. */
function putPart(tile: usize, rows: i32, columns: i32, c: usize, cStride: usize, accumulate: bool): void {
  for (; rows > 0; rows--) {
    for (let j: usize = 0; j < <usize>columns << 2; j += 4) {
      const value = load<f32>(tile + j);
      store<f32>(c + j, accumulate ? load<f32>(c + j) + value : value);
    }
    tile += 4 * <usize>PANEL;
    c += cStride;
  }
}

/**
 * C (+)= A times packed panels, for `rows` ⩽ 4 rows of A.
 * @param across whether A is f32[depth][4], its lines `aStride` bytes apart, else its rows are
 */
function multiplyTiles(
  across: bool, a: usize, aStride: usize, rows: i32, panels: usize, depth: i32, width: i32,
  c: usize, cStride: usize, accumulate: bool, tile: usize,
): void {
  for (; width > 0; width -= PANEL) {
    const whole = rows == TILE_ROWS && width >= PANEL;
    const to = whole ? c : tile;
    const toStride = whole ? cStride : 4 * <usize>PANEL;
    if (across) multiplyColumnsTile(a, aStride, panels, depth, to, toStride, whole && accumulate);
    else multiplyRowsTile(a, aStride, panels, depth, to, toStride, whole && accumulate);
    if (!whole) putPart(tile, rows, min(width, PANEL), c, cStride, accumulate);
    panels += <usize>depth << 5;
    c += 4 * <usize>PANEL;
  }
}

/** C (+)= A times packed panels, A's rows `aStride` bytes apart. */
function multiplyRows(
  a: usize, aStride: usize, rows: i32, panels: usize, depth: i32, width: i32,
  c: usize, cStride: usize, accumulate: bool,
): void {
  const someRows = panels + PANELS_BYTES;
  const tile = someRows + SOME_ROWS_BYTES;
  for (; rows > 0; rows -= TILE_ROWS) {
    const count = min(TILE_ROWS, rows);
    if (count == TILE_ROWS) {
      multiplyTiles(false, a, aStride, count, panels, depth, width, c, cStride, accumulate, tile);
    } else {
      // What lies past the last row must not be read.
      const rowBytes = <usize>depth << 2;
      memory.fill(someRows, 0, rowBytes * TILE_ROWS);
      for (let i: usize = 0; i < <usize>count; i++) memory.copy(someRows + i * rowBytes, a + i * aStride, rowBytes);
      multiplyTiles(false, someRows, rowBytes, count, panels, depth, width, c, cStride, accumulate, tile);
    }
    a += <usize>TILE_ROWS * aStride;
    c += <usize>TILE_ROWS * cStride;
  }
}

/** y[t][r] (+)= Σ_c x[t][c] w[r][c]; strides in floats. */
export function productNT(
  x: usize, xStride: usize, w: usize, wStride: usize, y: usize, yStride: usize,
  tokens: i32, rows: i32, columns: i32, accumulate: bool, scratch: usize,
): void {
  for (let k: i32 = 0; k < columns; k += DEPTH) {
    const depth = min(DEPTH, columns - k);
    for (let r: i32 = 0; r < rows; r += WIDTH) {
      const width = min(WIDTH, rows - r);
      transposePanels(w + ((<usize>r * wStride + <usize>k) << 2), wStride << 2, depth, width, scratch);
      multiplyRows(
        x + (<usize>k << 2), xStride << 2, tokens, scratch, depth, width,
        y + (<usize>r << 2), yStride << 2, accumulate || k > 0,
      );
    }
  }
}

/** dx[t][c] (+)= Σ_r dy[t][r] w[r][c]; strides in floats. */
export function productNN(
  dy: usize, dyStride: usize, w: usize, wStride: usize, dx: usize, dxStride: usize,
  tokens: i32, rows: i32, columns: i32, accumulate: bool, scratch: usize,
): void {
  for (let k: i32 = 0; k < rows; k += DEPTH) {
    const depth = min(DEPTH, rows - k);
    for (let c: i32 = 0; c < columns; c += WIDTH) {
      const width = min(WIDTH, columns - c);
      copyPanels(w + ((<usize>k * wStride + <usize>c) << 2), wStride << 2, depth, width, scratch);
      multiplyRows(
        dy + (<usize>k << 2), dyStride << 2, tokens, scratch, depth, width,
        dx + (<usize>c << 2), dxStride << 2, accumulate || k > 0,
      );
    }
  }
}

/** dw[r][c] += Σ_t dy[t][r] x[t][c]; strides in floats. */
export function productTN(
  dy: usize, dyStride: usize, x: usize, xStride: usize, dw: usize, dwStride: usize,
  tokens: i32, rows: i32, columns: i32, scratch: usize,
): void {
  const someRows = scratch + PANELS_BYTES;
  const tile = someRows + SOME_ROWS_BYTES;
  for (let k: i32 = 0; k < tokens; k += DEPTH) {
    const depth = min(DEPTH, tokens - k);
    for (let c: i32 = 0; c < columns; c += WIDTH) {
      const width = min(WIDTH, columns - c);
      copyPanels(x + ((<usize>k * xStride + <usize>c) << 2), xStride << 2, depth, width, scratch);
      for (let r: i32 = 0; r < rows; r += TILE_ROWS) {
        const group = r % SOME_ROWS;
        if (group == 0) {
          const from = dy + ((<usize>k * dyStride + <usize>r) << 2);
          copySixteenColumns(from, dyStride << 2, depth, min(SOME_ROWS, rows - r), someRows);
        }
        const a = someRows + <usize>(group * depth << 2);
        const to = dw + ((<usize>r * dwStride + <usize>c) << 2);
        multiplyTiles(true, a, 16, min(TILE_ROWS, rows - r), scratch, depth, width, to, dwStride << 2, true, tile);
      }
    }
  }
}
