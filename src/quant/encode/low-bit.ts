import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, scaleToHalf, writeHalf } from './block-encoder.js';
import { codeRange, fitSignedScale, inverseOf, nearestCode } from './scale-fit.js';

// The layouts are described beside the decoders.

/** Signs only: the least-squares scale is the mean magnitude. */
const q10: BlockEncoder = (values, weights, target, at) => {
  let magnitudes = 0;
  let total = 0;
  for (let i = 0; i < 128; i++) {
    magnitudes += weights[i]! * Math.abs(values[i]!);
    total += weights[i]!;
  }
  writeHalf(target, at, scaleToHalf(magnitudes / total));
  target.fill(0, at + 2, at + 18);
  for (let i = 0; i < 128; i++) {
    target[at + 2 + (i >> 3)]! |= (values[i]! >= 0 ? 1 : 0) << (i & 7);
  }
};

const Q2_LEVELS = codeRange(-1, 2);

const q20: BlockEncoder = (values, weights, target, at) => {
  const half = scaleToHalf(fitSignedScale(values, weights, 0, 64, Q2_LEVELS, 40));
  const inverse = inverseOf(f16ToF32(half));
  writeHalf(target, at, half);
  target.fill(0, at + 2, at + 18);
  for (let i = 0; i < 64; i++) {
    target[at + 2 + (i >> 2)]! |= (nearestCode(values[i]!, inverse, -1, 2) + 1) << (2 * (i & 3));
  }
};

export const encodeQ1_0 = rowEncoder('Q1_0', q10);
export const encodeQ2_0 = rowEncoder('Q2_0', q20);
