import { BYTE_BLOCK, WORD_BLOCK } from '../activations';
import { multiplyTiles } from '../matmul-quantized';
import { packQ4_K, packQ5_K, timesQ4_K, timesQ5_K, unpackQ4_K, unpackQ5_K } from './super-affine';
import { packQ8_0, timesQ8_0, unpackQ8_0 } from './q8';
import { packIQ1_M, packIQ1_S, timesIQ1_M, timesIQ1_S, unpackIQ1_M, unpackIQ1_S } from './iq1';
import {
  packIQ2_S, packIQ2_XS, packIQ2_XXS, timesIQ2_S, timesIQ2_XS, timesIQ2_XXS, unpackIQ2_S, unpackIQ2_XS,
  unpackIQ2_XXS,
} from './iq2';

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
    case 12: return packQ4_K(source, rowBytes, columns, target, scratch);
    case 13: return packQ5_K(source, rowBytes, columns, target, scratch);
    case 16: return packIQ2_XXS(source, rowBytes, columns, target, scratch);
    case 17: return packIQ2_XS(source, rowBytes, columns, target, scratch);
    case 22: return packIQ2_S(source, rowBytes, columns, target, scratch);
    case 19: return packIQ1_S(source, rowBytes, columns, target);
    case 29: return packIQ1_M(source, rowBytes, columns, target);
    default: unreachable();
  }
}

/** Bytes of a panel: packedPanelBytes of src/quant/packed-layout.ts. */
function panelBytes(form: i32, columns: usize): usize {
  switch (form) {
    case 8: return (columns >> 5) * 272;
    case 12: return (columns >> 8) * 1184;
    case 13: return (columns >> 8) * 1440;
    case 16: return (columns >> 8) * 560;
    case 17: return (columns >> 8) * 656;
    case 22: return (columns >> 8) * 656;
    case 19: return (columns >> 8) * 432;
    case 29: return (columns >> 8) * 464;
    default: return unreachable();
  }
}

/** Columns per scale of the unpacked panels. */
function groupOf(form: i32): i32 {
  switch (form) {
    case 8:
    case 12:
    case 13: return 32;
    case 16: return 32;
    case 17: return 16;
    case 22: return 16;
    case 19: return 32;
    case 29: return 16;
    default: return unreachable();
  }
}

/** Greatest unpacked code, in bytes and unsigned; 0 for the forms whose activations are words. */
function stepsOf(form: i32): i32 {
  switch (form) {
    case 8: return 0;
    case 12: return 15;
    case 13: return 31;
    case 16: return 86;
    case 17: return 86;
    case 22: return 86;
    case 19: return 18;
    case 29: return 18;
    default: return unreachable();
  }
}

function times(form: i32, panel: usize, columns: i32, x: usize, xStride: usize, sums: usize): void {
  switch (form) {
    case 8: return timesQ8_0(panel, columns, x, xStride, sums);
    case 12: return timesQ4_K(panel, columns, x, xStride, sums);
    case 13: return timesQ5_K(panel, columns, x, xStride, sums);
    case 16: return timesIQ2_XXS(panel, columns, x, xStride, sums);
    case 17: return timesIQ2_XS(panel, columns, x, xStride, sums);
    case 22: return timesIQ2_S(panel, columns, x, xStride, sums);
    case 19: return timesIQ1_S(panel, columns, x, xStride, sums);
    case 29: return timesIQ1_M(panel, columns, x, xStride, sums);
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
    case 12: return unpackQ4_K(panel, columns, codes, scales, mins);
    case 13: return unpackQ5_K(panel, columns, codes, scales, mins);
    case 16: return unpackIQ2_XXS(panel, columns, codes, scales, mins);
    case 17: return unpackIQ2_XS(panel, columns, codes, scales, mins);
    case 22: return unpackIQ2_S(panel, columns, codes, scales, mins);
    case 19: return unpackIQ1_S(panel, columns, codes, scales, mins);
    case 29: return unpackIQ1_M(panel, columns, codes, scales, mins);
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
  const steps = stepsOf(form);
  const block = steps == 0 ? WORD_BLOCK : BYTE_BLOCK;
  const xStride = <usize>tokens * block;
  for (; count > 0; count--) {
    // Below four tokens, unpacking costs more than it saves.
    if (tokens >= 4) {
      unpackPanel(form, panels, columns, scratch);
      multiplyTiles(columns, groupOf(form), steps, x, tokens, y, yStride, accumulate, scratch);
    } else {
      for (let t: usize = 0; t < <usize>tokens; t++) {
        times(form, panels, columns, x + t * block, xStride, scratch);
        const out = y + t * yStride;
        let low = v128.load(scratch);
        let high = v128.load(scratch, 16);
        if (accumulate) {
          low = f32x4.add(v128.load(out), low);
          high = f32x4.add(v128.load(out, 16), high);
        }
        v128.store(out, low);
        v128.store(out, high, 16);
      }
    }
    panels += size;
    y += ROWS << 2;
  }
}
