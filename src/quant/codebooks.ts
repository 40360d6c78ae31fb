import {
  IQ1S_LEVELS,
  IQ2S_LEVELS,
  IQ2XS_LEVELS,
  IQ2XXS_LEVELS,
  IQ3S_LEVELS,
  IQ3XXS_LEVELS,
} from './codebook-data.js';

// Values that ggml's codes stand for, from ggml-common.h (llama.cpp, MIT licence).

const IQ1_VALUES = [-1, 0, 1];
const IQ2_VALUES = [8, 25, 43];
const IQ3XXS_VALUES = [4, 12, 20, 28, 36, 44, 52, 62];
const IQ3S_VALUES = [1, 3, 5, 7, 9, 11, 13, 15];

/** [2048, 8]: IQ1_S and IQ1_M. */
export const IQ1S_GRID = expandLevels(IQ1S_LEVELS, 8, IQ1_VALUES);
/** [256, 8]: magnitudes of IQ2_XXS. */
export const IQ2XXS_GRID = expandLevels(IQ2XXS_LEVELS, 8, IQ2_VALUES);
/** [512, 8]: magnitudes of IQ2_XS. */
export const IQ2XS_GRID = expandLevels(IQ2XS_LEVELS, 8, IQ2_VALUES);
/** [1024, 8]: magnitudes of IQ2_S. */
export const IQ2S_GRID = expandLevels(IQ2S_LEVELS, 8, IQ2_VALUES);
/** [256, 4]: magnitudes of IQ3_XXS. */
export const IQ3XXS_GRID = expandLevels(IQ3XXS_LEVELS, 4, IQ3XXS_VALUES);
/** [512, 4]: magnitudes of IQ3_S. */
export const IQ3S_GRID = expandLevels(IQ3S_LEVELS, 4, IQ3S_VALUES);

/**
 * Signs of eight weights for each of 128 seven-bit sign codes: bit j set makes weight j negative. The code
 * holds the first seven bits, and the eighth makes their number even.
 */
export const EVEN_SIGNS = Uint8Array.from({ length: 128 }, (_, code) => {
  const parity = code ^ (code >> 4);
  return code | (((0x6996 >> (parity & 15)) & 1) << 7);
});

/** Values of the 4-bit codes of IQ4_NL and IQ4_XS. */
export const IQ4NL_VALUES = Int8Array.from([
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
]);

/** Twice the values of the FP4 (E2M1) codes of MXFP4 and NVFP4. */
export const FP4_DOUBLED_VALUES = Int8Array.from([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

/** One value per weight, from hexadecimal numbers that hold the levels of `weights` weights, the first lowest. */
function expandLevels(hex: string, weights: 4 | 8, values: readonly number[]): Int8Array {
  const bits = values.length > 4 ? 3 : 2;
  const digits = (bits * weights) / 4;
  const grid = new Int8Array((hex.length / digits) * weights);
  for (let entry = 0; entry * digits < hex.length; entry++) {
    const levels = Number.parseInt(hex.slice(entry * digits, (entry + 1) * digits), 16);
    for (let j = 0; j < weights; j++) {
      grid[entry * weights + j] = values[(levels >> (bits * j)) & ((1 << bits) - 1)]!;
    }
  }
  return grid;
}
