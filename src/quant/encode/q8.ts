import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, scaleToHalf, writeHalf } from './block-encoder.js';
import { inverseOf } from './scale-fit.js';

const BLOCK = 32;

/**
 * Q8_0 is what ggml writes, byte for byte: the largest value gets code ±127, whatever the weights, calculated
 * in floats with halves rounded away from zero. At 8 bits nothing is left to gain.
 */
const q80: BlockEncoder = (values, _weights, target, at) => {
  let largest = 0;
  for (let i = 0; i < BLOCK; i++) {
    largest = Math.max(largest, Math.abs(values[i]!));
  }
  const half = scaleToHalf(largest / 127);
  writeHalf(target, at, half);
  const saturated = largest / 127 > f16ToF32(half) * 1.001;
  const scale = saturated ? f16ToF32(half) : Math.fround(largest / 127);
  const inverse = Math.fround(inverseOf(scale));
  for (let i = 0; i < BLOCK; i++) {
    const scaled = Math.fround(values[i]! * inverse);
    const code = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    target[at + 2 + i] = Math.min(Math.max(code, -127), 127);
  }
};

export const encodeQ8_0 = rowEncoder('Q8_0', q80);
