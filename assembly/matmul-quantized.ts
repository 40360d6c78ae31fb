import { BYTE_BLOCK, WORD_BLOCK } from './activations';
import { codeShift, greatestCode } from './dot-bytes';
import { scaleInto } from './elementwise';
import { interleaveCodes4, TILE, transpose4, transposeCodes4 } from './panel';
import { addTileBytes, dotRowBytes, dotRowWhole } from './product-bytes';
import { addTileWords, dotRowWords } from './product-words';
import { unpack } from './unpack/index';

// Products of quantized rows with 8-bit activations (activations.ts). Integer sums inside a group are exact; groups
// are added in column order, so a result does not depend on which thread or tile computed it.
//
// Scratch of one call, for K columns (a multiple of 32):
//   0    i8[8][K]         codes of eight rows
//   8K   f32[8][K/16]     scales
//   10K  f32[8][K/16]     minima
//   12K  i8[2][K/32][128] two panels of four rows: 32 columns of each row side by side, as the products read them
//   20K  f32[2][K/16][4]  scales of the panels
//   22K  f32[2][K/16][4]  minima of the panels
//   24K  f32[2][TILE][4]  sums of a tile of tokens
//        f32[2][TILE][4]  what product-bytes.ts keeps between the halves of a group

const ROWS: i32 = 8;

/** Sums of a tile, `[2][TILE][4]`, to y[token][row]. */
function storeTile(sums: usize, y: usize, yStride: usize, tokens: i32, accumulate: bool): void {
  for (let t: i32 = 0; t < tokens; t++) {
    let low = v128.load(sums);
    let high = v128.load(sums + TILE * 16);
    if (accumulate) {
      low = f32x4.add(v128.load(y), low);
      high = f32x4.add(v128.load(y, 16), high);
    }
    v128.store(y, low);
    v128.store(y, high, 16);
    sums += 16;
    y += yStride;
  }
}

/** Eight unpacked rows to the panels. Types without minima get those of their offset, or none when in words. */
function layOut(scratch: usize, k: usize, group: i32, hasMins: bool, bytes: bool, offset: i32): void {
  const groupBytes = k / <usize>group << 2;
  const panelFloats = groupBytes << 2;
  for (let half: usize = 0; half < 2; half++) {
    const codes = scratch + half * 4 * k;
    const panel = codes + 12 * k;
    if (bytes) transposeCodes4(codes, k, panel, offset);
    else interleaveCodes4(codes, k, panel);
    const scales = scratch + 20 * k + half * panelFloats;
    transpose4(scratch + 8 * k + half * panelFloats, groupBytes, scales);
    const mins = scratch + 22 * k + half * panelFloats;
    if (hasMins) transpose4(scratch + 10 * k + half * panelFloats, groupBytes, mins);
    else if (bytes) scaleInto(scales, mins, <f32>offset, <i32>groupBytes);
  }
}

/**
 * Eight rows laid out in the scratch times `tokens` tokens, in tiles that stay in the first cache.
 * @param steps greatest code, in bytes; 0 for codes and activations in words
 */
export function multiplyTiles(
  columns: i32, group: i32, steps: i32, x: usize, tokens: i32, y: usize, yStride: usize, accumulate: bool,
  scratch: usize,
): void {
  const k = <usize>columns;
  const panel = scratch + 12 * k;
  const sums = scratch + 24 * k;
  const block = steps == 0 ? WORD_BLOCK : BYTE_BLOCK;
  const xStride = <usize>tokens * block;
  for (let t: i32 = 0; t < tokens; t += TILE) {
    const count = min(TILE, tokens - t);
    const from = x + <usize>t * block;
    memory.fill(sums, 0, <usize>count * 16);
    memory.fill(sums + TILE * 16, 0, <usize>count * 16);
    if (steps == 0) addTileWords(panel, k, from, xStride, count);
    else addTileBytes(panel, k, group, steps, from, xStride, count);
    storeTile(sums, y + <usize>t * yStride, yStride, count, accumulate);
  }
}

/**
 * y[t][r] (+)= Σ_k w[r][k] x[t][k] for `rows` consecutive rows and `tokens` tokens.
 * @param type ggml type number of the rows, which are `rowBytes` long and hold `blocks` blocks
 * @param group columns per scale in the unpacked form of the type (16 or 32); hasMins: it has minima too
 * @param minCode, maxCode least and greatest code; at most greatestCode() apart, activations must be in bytes, else in
 *   words
 * @param x activations in blocks `[columns / 32][tokens]`
 * @param y f32, `yStride` bytes between tokens
 * @param scratch 24 × columns + 8192 bytes
 */
export function matmulQuantized(
  type: i32, w: usize, rowBytes: usize, rows: i32, columns: i32, blocks: i32, group: i32, hasMins: bool,
  minCode: i32, maxCode: i32, x: usize, tokens: i32, y: usize, yStride: usize, accumulate: bool, scratch: usize,
): void {
  const k = <usize>columns;
  const scales = scratch + 8 * k;
  const mins = scratch + 10 * k;
  const groupBytes = k / <usize>group << 2;
  const steps = maxCode - minCode;
  const bytes = steps <= greatestCode();
  const whole = bytes && steps > 127;
  const offset = whole ? codeShift : -minCode;
  const block = bytes ? BYTE_BLOCK : WORD_BLOCK;
  const xStride = <usize>tokens * block;
  let row: i32 = 0;
  // Below four tokens, laying the rows out costs more than it saves.
  if (tokens >= 4) {
    for (; row + ROWS <= rows; row += ROWS) {
      for (let r: usize = 0; r < <usize>ROWS; r++) {
        unpack(type, w, scratch + r * k, scales + r * groupBytes, mins + r * groupBytes, blocks);
        w += rowBytes;
      }
      layOut(scratch, k, group, hasMins, bytes, offset);
      const out = y + (<usize>row << 2);
      multiplyTiles(columns, group, bytes ? steps : 0, x, tokens, out, yStride, accumulate, scratch);
    }
  }
  for (; row < rows; row++) {
    unpack(type, w, scratch, scales, mins, blocks);
    w += rowBytes;
    for (let t: i32 = 0; t < tokens; t++) {
      const from = x + <usize>t * block;
      let value: f32;
      if (whole) value = dotRowWhole(scratch, scales, columns, from, xStride);
      else if (bytes) {
        value = dotRowBytes(scratch, scales, hasMins ? mins : 0, columns, group, offset, from, xStride);
      } else value = dotRowWords(scratch, scales, columns, from, xStride);
      const out = y + (<usize>row << 2) + <usize>t * yStride;
      store<f32>(out, accumulate ? load<f32>(out) + value : value);
    }
  }
}
