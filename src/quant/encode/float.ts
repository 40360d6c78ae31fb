import { f32ToBf16 } from '../float.js';
import { checkWeights, type Encode, scaleToHalf, writeHalf } from './block-encoder.js';

export const encodeF32: Encode = (source, target, columns) => {
  checkWeights('F32', source, target, columns);
  target.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
};

/** Nearest half, ties to even; values beyond the largest half saturate, so that no file holds infinities. */
export const encodeF16: Encode = (source, target, columns) => {
  checkWeights('F16', source, target, columns);
  for (let i = 0; i < source.length; i++) {
    writeHalf(target, 2 * i, scaleToHalf(source[i]!));
  }
};

/** Nearest bfloat16, ties to even; values that would round to infinity saturate. */
export const encodeBf16: Encode = (source, target, columns) => {
  checkWeights('BF16', source, target, columns);
  for (let i = 0; i < source.length; i++) {
    const bits = f32ToBf16(source[i]!);
    writeHalf(target, 2 * i, (bits & 0x7fff) === 0x7f80 ? bits - 1 : bits);
  }
};
