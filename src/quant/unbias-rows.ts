import { type GgmlType, ggmlType, rowBytes } from '../formats/ggml-types.js';
import { scaleToHalf, writeHalf } from './encode/block-encoder.js';
import { readF16 } from './float.js';
import { blockFormat } from './index.js';

/**
 * Where the blocks of coarse types have the half that multiplies all their weights (and the one of their minima).
 * Finer types round so closely that their weights do not shrink. Offsets from ggml-common.h of llama.cpp v0.5.0.
 */
const SCALE_OFFSETS: { readonly [type in GgmlType]?: readonly number[] } = {
  Q2_K: [80, 82],
  Q3_K: [108],
  IQ1_S: [0],
  IQ2_XXS: [0],
  IQ2_XS: [0],
  IQ2_S: [0],
  IQ3_XXS: [0],
  IQ3_S: [0],
};

/** Offset of IQ1_M's four 16-bit words of scales; the upper four bits of each are a quarter of the block's half. */
const IQ1_M_SCALES = 48;

/**
 * How much of the shrinking is undone. At one bit all of it costs so much error that less of it serves the model better:
 * on nano-scout at UD-IQ1_S the divergence is 0.0715 without, 0.0330 with all and 0.0305 with seven tenths.
 */
const FULLNESS: { readonly [type in GgmlType]?: number } = { IQ1_S: 0.7, IQ1_M: 0.7 };

/** Corrections beyond these would mean that a row has nothing in common with the original. */
const LARGEST_FACTOR = 1.5;

/**
 * Scales each encoded row so that it is no longer shorter than the original in the original's own direction,
 * Σ w·x̂·x = Σ w·x², or at one bit less so. Rounding for the least squared error shrinks weights by as much as its relative error (20% at
 * IQ1_S), and that error does not average out over a layer's inputs as rounding noise does: all its outputs become
 * too small at once. Undoing it raises the squared error somewhat and lowers the divergence of the model a lot: by
 * half at IQ1_S. No effect on types of more than 3.5 bits.
 */
export function unbiasRows(
  type: GgmlType,
  encoded: Uint8Array,
  original: Float32Array,
  columns: number,
  importance?: Float32Array,
): void {
  if (SCALE_OFFSETS[type] === undefined && type !== 'IQ1_M') return;
  const bytesPerRow = rowBytes(type, columns);
  const decoded = new Float32Array(columns);
  for (let row = 0; row * columns < original.length; row++) {
    const bytes = encoded.subarray(row * bytesPerRow, (row + 1) * bytesPerRow);
    blockFormat(type).decode(bytes, decoded);
    let norm = 0;
    let product = 0;
    for (let column = 0; column < columns; column++) {
      const value = original[row * columns + column]!;
      const weight = importance === undefined ? 1 : importance[column]!;
      norm += weight * value * value;
      product += weight * value * decoded[column]!;
    }
    const factor = 1 + (FULLNESS[type] ?? 1) * (norm / product - 1);
    if (factor > 1 && factor <= LARGEST_FACTOR) scaleBlocks(type, bytes, factor);
  }
}

/** Multiplies the weights of whole blocks, up to the rounding of their halves. */
function scaleBlocks(type: GgmlType, blocks: Uint8Array, factor: number): void {
  const { typeSize } = ggmlType(type);
  for (let block = 0; block < blocks.length; block += typeSize) {
    if (type === 'IQ1_M') {
      scaleIQ1M(blocks, block + IQ1_M_SCALES, factor);
      continue;
    }
    for (const offset of SCALE_OFFSETS[type]!) {
      const at = block + offset;
      writeHalf(blocks, at, scaleToHalf(readF16(blocks, at) * factor));
    }
  }
}

function scaleIQ1M(bytes: Uint8Array, at: number, factor: number): void {
  const half = new Uint8Array(2);
  const nibble = (word: number) => bytes[at + 2 * word + 1]! >> 4;
  half[0] = nibble(0) | (nibble(1) << 4);
  half[1] = nibble(2) | (nibble(3) << 4);
  writeHalf(half, 0, scaleToHalf(readF16(half, 0) * factor));
  for (let word = 0; word < 4; word++) {
    const bits = (half[word >> 1]! >> (4 * (word & 1))) & 15;
    bytes[at + 2 * word + 1] = (bytes[at + 2 * word + 1]! & 15) | (bits << 4);
  }
}
