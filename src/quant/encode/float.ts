import { f32ToF16 } from '../float.js';
import { checkWeights, type Encode } from './block-encoder.js';

export const encodeF32: Encode = (source, target, columns) => {
  checkWeights('F32', source, target, columns);
  target.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
};

// Whole models pass through these two, which is why they work on bits and not on values.

/** Nearest half, ties to even; values beyond the largest half saturate, so that no file holds infinities. */
export const encodeF16: Encode = (source, target, columns) => {
  checkWeights('F16', source, target, columns);
  const words = new Uint16Array(source.length);
  const bits = new Int32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < words.length; i++) {
    const magnitude = Math.min(bits[i]! & 0x7fffffff, LARGEST_HALF_BITS);
    if (magnitude < SMALLEST_NORMAL_HALF_BITS) {
      words[i] = f32ToF16(source[i]!);
    } else {
      const roundToEven = 0xfff + ((magnitude >>> 13) & 1);
      words[i] = ((bits[i]! >>> 16) & 0x8000) | ((magnitude - (112 << 23) + roundToEven) >>> 13);
    }
  }
  target.set(new Uint8Array(words.buffer));
};

/** Nearest bfloat16, ties to even; values that would round to infinity saturate. */
export const encodeBf16: Encode = (source, target, columns) => {
  checkWeights('BF16', source, target, columns);
  const words = new Uint16Array(source.length);
  const bits = new Int32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < words.length; i++) {
    const word = ((bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) | 0) >>> 16;
    words[i] = (word & 0x7fff) === 0x7f80 ? word - 1 : word;
  }
  target.set(new Uint8Array(words.buffer));
};

/** Bit patterns of 65504 and 2^-14 as floats. */
const LARGEST_HALF_BITS = 0x477fe000;
const SMALLEST_NORMAL_HALF_BITS = 0x38800000;
