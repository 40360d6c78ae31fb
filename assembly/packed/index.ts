import { BYTE_BLOCK, WORD_BLOCK } from '../activations';
import { greatestCode } from '../dot-bytes';
import { multiplyTiles } from '../matmul-quantized';
import {
  packQ4_0, packQ4_1, packQ5_0, packQ5_1, timesQ4_0, timesQ4_1, timesQ5_0, timesQ5_1, unpackQ4_0, unpackQ4_1,
  unpackQ5_0, unpackQ5_1,
} from './legacy';
import { packQ2_K, timesQ2_K, unpackQ2_K } from './q2-k';
import { packQ8_0, timesQ8_0, unpackQ8_0 } from './q8';
import { packQ4_K, packQ5_K, timesQ4_K, timesQ5_K, unpackQ4_K, unpackQ5_K } from './super-affine';
import { packQ3_K, packQ6_K, timesQ3_K, timesQ6_K, unpackQ3_K, unpackQ6_K } from './super-scale';
import { packIQ1_M, packIQ1_S, timesIQ1_M, timesIQ1_S, unpackIQ1_M, unpackIQ1_S } from './iq1';
import {
  packIQ2_S, packIQ2_XS, packIQ2_XXS, timesIQ2_S, timesIQ2_XS, timesIQ2_XXS, unpackIQ2_S, unpackIQ2_XS,
  unpackIQ2_XXS,
} from './iq2';
import { packIQ3_S, packIQ3_XXS, timesIQ3_S, timesIQ3_XXS, unpackIQ3_S, unpackIQ3_XXS } from './iq3';
import {
  packIQ4_NL, packIQ4_XS, REST_STEPS, timesIQ4_NL, timesIQ4_XS, unpackIQ4_NL, unpackIQ4_XS, unpackRests,
} from './iq4';
import { packMXFP4, packNVFP4, timesMXFP4, timesNVFP4, unpackMXFP4, unpackNVFP4 } from './fp4';
import {
  packQ1_0, packQ2_0, packTQ1_0, packTQ2_0, timesQ1_0, timesQ2_0, timesTernary, unpackQ1_0, unpackQ2_0,
  unpackTernary,
} from './low-bit';
import {
  packExpandedIQ2_S, packExpandedIQ2_XS, packExpandedIQ2_XXS, packExpandedIQ3_S, packExpandedIQ3_XXS,
  timesExpandedIQ2_XS, timesExpandedIQ2_XXS, timesExpandedIQ3_S, timesExpandedIQ3_XXS, unpackExpandedIQ2_XS,
  unpackExpandedIQ2_XXS, unpackExpandedIQ3_S, unpackExpandedIQ3_XXS,
} from './expanded';

// Products of packed weights (src/quant/packed-layout.ts): panels of eight rows, laid out when the model is loaded.
//
// A form has the number of its ggml type, plus 64 for a form of `full` mode. For each there are, in the file of its
// family,
//
//   pack(source, rowBytes, columns, target, scratch)   eight rows of ggml blocks, `rowBytes` apart, to a panel at
//                                                       `target` (16-byte aligned); scratch as below, all free
//   times(panel, columns, x, xStride, sums)             f32[8] sums = panel × the activations of one token, whose
//                                                       blocks (activations.ts) lie `xStride` bytes apart
//   unpack(panel, columns, codes, scales, mins)         to the two panels of four rows that the products with many
//                                                       tokens read (matmul-quantized.ts): `codes` at 12K, `scales`
//                                                       at 20K and `mins` at 22K of the scratch; codes in bytes
//                                                       are unsigned, with minima of their own or scale × offset
//
// and a line in each of the switches below. Scratch of a call is that of matmulQuantized: 24 × columns + 8192 bytes.
// Sums are integers inside a group of columns that shares an activation scale; the groups' floats are added in column
// order, so that no result depends on which thread computed it.

const ROWS: usize = 8;

/** Eight ggml rows to a panel of a form. */
export function packPanel(
  form: i32, source: usize, rowBytes: usize, columns: i32, target: usize, scratch: usize,
): void {
  switch (form) {
    case 8: return packQ8_0(source, rowBytes, columns, target);
    case 14: return packQ6_K(source, rowBytes, columns, target, scratch);
    case 11: return packQ3_K(source, rowBytes, columns, target, scratch);
    case 10: return packQ2_K(source, rowBytes, columns, target, scratch);
    case 7: return packQ5_1(source, rowBytes, columns, target, scratch);
    case 6: return packQ5_0(source, rowBytes, columns, target, scratch);
    case 3: return packQ4_1(source, rowBytes, columns, target, scratch);
    case 2: return packQ4_0(source, rowBytes, columns, target, scratch);
    case 12: return packQ4_K(source, rowBytes, columns, target, scratch);
    case 13: return packQ5_K(source, rowBytes, columns, target, scratch);
    case 16: return packIQ2_XXS(source, rowBytes, columns, target, scratch);
    case 17: return packIQ2_XS(source, rowBytes, columns, target, scratch);
    case 22: return packIQ2_S(source, rowBytes, columns, target, scratch);
    case 19: return packIQ1_S(source, rowBytes, columns, target);
    case 29: return packIQ1_M(source, rowBytes, columns, target);
    case 18: return packIQ3_XXS(source, rowBytes, columns, target);
    case 21: return packIQ3_S(source, rowBytes, columns, target);
    case 20: return packIQ4_NL(source, rowBytes, columns, target);
    case 23: return packIQ4_XS(source, rowBytes, columns, target);
    case 39: return packMXFP4(source, rowBytes, columns, target);
    case 40: return packNVFP4(source, rowBytes, columns, target);
    case 41: return packQ1_0(source, rowBytes, columns, target, scratch);
    case 42: return packQ2_0(source, rowBytes, columns, target, scratch);
    case 35: return packTQ2_0(source, rowBytes, columns, target, scratch);
    case 98: return packTQ1_0(source, rowBytes, columns, target, scratch);
    case 80: return packExpandedIQ2_XXS(source, rowBytes, columns, target, scratch);
    case 81: return packExpandedIQ2_XS(source, rowBytes, columns, target, scratch);
    case 86: return packExpandedIQ2_S(source, rowBytes, columns, target, scratch);
    case 82: return packExpandedIQ3_XXS(source, rowBytes, columns, target, scratch);
    case 85: return packExpandedIQ3_S(source, rowBytes, columns, target, scratch);
    default: unreachable();
  }
}

/** Bytes of a panel: packedPanelBytes of src/quant/packed-layout.ts. */
function panelBytes(form: i32, columns: usize): usize {
  switch (form) {
    case 8: return (columns >> 5) * 272;
    case 14: return (columns >> 8) * 1680;
    case 11: return (columns >> 8) * 912;
    case 10: return (columns >> 8) * 672;
    case 7: return (columns >> 5) * 192;
    case 6: return (columns >> 5) * 176;
    case 3: return (columns >> 5) * 160;
    case 2: return (columns >> 5) * 144;
    case 12: return (columns >> 8) * 1184;
    case 13: return (columns >> 8) * 1440;
    case 16: return (columns >> 8) * 560;
    case 17: return (columns >> 8) * 656;
    case 22: return (columns >> 8) * 656;
    case 19: return (columns >> 8) * 432;
    case 29: return (columns >> 8) * 464;
    case 18: return (columns >> 8) * 816;
    case 21: return (columns >> 8) * 944;
    case 20: return (columns >> 5) * 144;
    case 23: return (columns >> 8) * 1104;
    case 39: return (columns >> 5) * 144;
    case 40: return (columns >> 5) * 160;
    case 41: return (columns >> 7) * 144;
    case 42: return (columns >> 6) * 144;
    case 35:
    case 98: return (columns >> 8) * 528;
    case 80:
    case 82:
    case 85: return (columns >> 8) * 1104;
    case 81:
    case 86: return (columns >> 8) * 1168;
    default: return unreachable();
  }
}

/** Columns per scale of the unpacked panels. */
function groupOf(form: i32): i32 {
  switch (form) {
    case 2:
    case 3:
    case 6:
    case 7:
    case 8: return 32;
    case 10:
    case 11:
    case 14: return 16;
    case 12:
    case 13: return 32;
    case 16: return 32;
    case 17: return 16;
    case 22: return 16;
    case 19: return 32;
    case 29: return 16;
    case 18: return 32;
    case 21: return 32;
    case 20: return 32;
    case 23: return 32;
    case 39: return 32;
    case 40: return 16;
    case 41: return 32;
    case 42: return 32;
    case 35:
    case 98: return 32;
    case 80:
    case 82:
    case 85: return 32;
    case 81:
    case 86: return 16;
    default: return unreachable();
  }
}

/** Greatest unpacked code, in bytes and unsigned. */
function stepsOf(form: i32): i32 {
  switch (form) {
    case 8: return 255;
    case 14: return 63;
    case 11: return 7;
    case 10: return 3;
    case 7: return 31;
    case 6: return 31;
    case 3: return 15;
    case 2: return 15;
    case 12: return 15;
    case 13: return 31;
    case 16: return 86;
    case 17: return 86;
    case 22: return 86;
    case 19: return 18;
    case 29: return 18;
    case 18: return 124;
    case 21: return 30;
    case 20:
    case 23: return ACCUMULATING_DOT ? 255 : 15;
    case 39: return 24;
    case 40: return 24;
    case 41: return 2;
    case 42: return 3;
    case 35:
    case 98: return 3;
    case 80:
    case 81:
    case 86: return 86;
    case 82: return 124;
    case 85: return 30;
    default: return unreachable();
  }
}

function times(form: i32, panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  switch (form) {
    case 8: return timesQ8_0(panel, columns, x, xStride, sums);
    case 14: return timesQ6_K(panel, columns, x, xStride, sums);
    case 11: return timesQ3_K(panel, columns, x, xStride, sums);
    case 10: return timesQ2_K(panel, columns, x, xStride, sums);
    case 7: return timesQ5_1(panel, columns, x, xStride, sums);
    case 6: return timesQ5_0(panel, columns, x, xStride, sums);
    case 3: return timesQ4_1(panel, columns, x, xStride, sums);
    case 2: return timesQ4_0(panel, columns, x, xStride, sums);
    case 12: return timesQ4_K(panel, columns, x, xStride, sums);
    case 13: return timesQ5_K(panel, columns, x, xStride, sums);
    case 16: return timesIQ2_XXS(panel, columns, x, xStride, sums);
    case 17: return timesIQ2_XS(panel, columns, x, xStride, sums);
    case 22: return timesIQ2_S(panel, columns, x, xStride, sums);
    case 19: return timesIQ1_S(panel, columns, x, xStride, sums);
    case 29: return timesIQ1_M(panel, columns, x, xStride, sums);
    case 18: return timesIQ3_XXS(panel, columns, x, xStride, sums);
    case 21: return timesIQ3_S(panel, columns, x, xStride, sums);
    case 20: return timesIQ4_NL(panel, columns, x, xStride, sums);
    case 23: return timesIQ4_XS(panel, columns, x, xStride, sums);
    case 39: return timesMXFP4(panel, columns, x, xStride, sums);
    case 40: return timesNVFP4(panel, columns, x, xStride, sums);
    case 41: return timesQ1_0(panel, columns, x, xStride, sums);
    case 42: return timesQ2_0(panel, columns, x, xStride, sums);
    case 35:
    case 98: return timesTernary(panel, columns, x, xStride, sums);
    case 80: return timesExpandedIQ2_XXS(panel, columns, x, xStride, sums);
    case 81:
    case 86: return timesExpandedIQ2_XS(panel, columns, x, xStride, sums);
    case 82: return timesExpandedIQ3_XXS(panel, columns, x, xStride, sums);
    case 85: return timesExpandedIQ3_S(panel, columns, x, xStride, sums);
    default: unreachable();
  }
}

/** A panel to the two of four rows that products with many tokens read, in the scratch of such a product. */
export function unpackPanel(form: i32, panel: usize, columns: i32, scratch: usize): void {
  const k = <usize>columns;
  const codes = scratch + 12 * k;
  const scales = scratch + 20 * k;
  const mins = scratch + 22 * k;
  switch (form) {
    case 8: return unpackQ8_0(panel, columns, codes, scales);
    case 14: return unpackQ6_K(panel, columns, codes, scales, mins);
    case 11: return unpackQ3_K(panel, columns, codes, scales, mins);
    case 10: return unpackQ2_K(panel, columns, codes, scales, mins);
    case 7: return unpackQ5_1(panel, columns, codes, scales, mins);
    case 6: return unpackQ5_0(panel, columns, codes, scales, mins);
    case 3: return unpackQ4_1(panel, columns, codes, scales, mins);
    case 2: return unpackQ4_0(panel, columns, codes, scales, mins);
    case 12: return unpackQ4_K(panel, columns, codes, scales, mins);
    case 13: return unpackQ5_K(panel, columns, codes, scales, mins);
    case 16: return unpackIQ2_XXS(panel, columns, codes, scales, mins);
    case 17: return unpackIQ2_XS(panel, columns, codes, scales, mins);
    case 22: return unpackIQ2_S(panel, columns, codes, scales, mins);
    case 19: return unpackIQ1_S(panel, columns, codes, scales, mins);
    case 29: return unpackIQ1_M(panel, columns, codes, scales, mins);
    case 18: return unpackIQ3_XXS(panel, columns, codes, scales, mins);
    case 21: return unpackIQ3_S(panel, columns, codes, scales, mins);
    case 20: return unpackIQ4_NL(panel, columns, codes, scales, mins);
    case 23: return unpackIQ4_XS(panel, columns, codes, scales, mins);
    case 39: return unpackMXFP4(panel, columns, codes, scales, mins);
    case 40: return unpackNVFP4(panel, columns, codes, scales, mins);
    case 41: return unpackQ1_0(panel, columns, codes, scales, mins);
    case 42: return unpackQ2_0(panel, columns, codes, scales, mins);
    case 35:
    case 98: return unpackTernary(panel, columns, codes, scales, mins);
    case 80: return unpackExpandedIQ2_XXS(panel, columns, codes, scales, mins);
    case 81:
    case 86: return unpackExpandedIQ2_XS(panel, columns, codes, scales, mins);
    case 82: return unpackExpandedIQ3_XXS(panel, columns, codes, scales, mins);
    case 85: return unpackExpandedIQ3_S(panel, columns, codes, scales, mins);
    default: unreachable();
  }
}

/**
 * y[t][r] (+)= Σ_k w[r][k] x[t][k] for the rows of `count` consecutive panels and `tokens` tokens.
 * @param x activations in blocks `[columns / 32][tokens]`: bytes, or words where packedActivations says so
 * @param y f32, `yStride` bytes between tokens
 * @param scratch 24 × columns + 8192 bytes
 */
export function multiplyPanels(
  form: i32, panels: usize, count: i32, columns: i32, x: usize, tokens: i32,
  y: usize, yStride: usize, accumulate: bool, scratch: usize,
): void {
  const size = panelBytes(form, columns);
  const greatest = stepsOf(form);
  const steps = greatest <= greatestCode() ? greatest : 0;
  const block = steps == 0 ? WORD_BLOCK : BYTE_BLOCK;
  const xStride = <usize>tokens * block;
  // Below four tokens, unpacking costs more than it saves.
  if (tokens < 4) {
    for (; count > 0; count -= STREAMS) {
      const streams = min(count, STREAMS);
      for (let t: usize = 0; t < <usize>tokens; t++) {
        multiplyStreams(form, panels, streams, columns, x + t * block, xStride, y + t * yStride, accumulate, scratch);
      }
      panels += <usize>streams * size;
      y += <usize>streams * (ROWS << 2);
    }
    return;
  }
  for (; count > 0; count--) {
    unpackPanel(form, panels, columns, scratch);
    multiplyTiles(columns, groupOf(form), steps, x, tokens, y, yStride, accumulate, scratch);
    if (!ACCUMULATING_DOT && (form == 20 || form == 23)) {
      // The values span too much for one product of bytes.
      unpackRests(form == 23, panels, columns, scratch);
      multiplyTiles(columns, groupOf(form), REST_STEPS, x, tokens, y, yStride, true, scratch);
    }
    panels += size;
    y += ROWS << 2;
  }
}

/** Panels that a product with few tokens reads at once, which keeps more of the memory's reads under way. */
const STREAMS: i32 = 4;

function multiplyStreams(
  form: i32, panels: usize, streams: i32, columns: i32, x: usize, xStride: usize, y: usize, accumulate: bool,
  scratch: usize,
): void {
  const size = panelBytes(form, columns);
  const bytes = <usize>streams << 5;
  // About a kilobyte of each panel at a time.
  const columnsAtOnce = panelBytes(form, 256) < 1000 ? 512 : 256;
  memory.fill(scratch, 0, bytes);
  for (let column: i32 = 0; column < columns; ) {
    const part = min(columns - column, columnsAtOnce);
    let panel = panels + panelBytes(form, column);
    for (let to = scratch, end = scratch + bytes; to < end; to += 32) {
      times(form, panel, part, x, xStride, end);
      addFloats8(to, end, to);
      panel += size;
    }
    column += part;
    x += xStride * (part >> 5);
  }
  for (let i: usize = 0; i < bytes; i += 32) {
    if (accumulate) addFloats8(y + i, scratch + i, y + i);
    else memory.copy(y + i, scratch + i, 32);
  }
}

@inline
function addFloats8(a: usize, b: usize, sums: usize): void {
  v128.store(sums, f32x4.add(v128.load(a), v128.load(b)));
  v128.store(sums, f32x4.add(v128.load(a, 16), v128.load(b, 16)), 16);
}
