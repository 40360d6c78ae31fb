import { f16ToF32 } from '../float.js';
import { type Affine, fitAffine } from './affine-fit.js';
import { type BlockEncoder, rowEncoder, scaleToHalf, writeHalf } from './block-encoder.js';
import { codeRange, fitSignedScale, inverseOf, nearestCode } from './scale-fit.js';

const BLOCK = 32;
const SCALE_STEPS = 40;
const AFFINE_STEPS = 24;

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

/** Q4_0 and Q5_0: one scale of either sign for signed codes, stored with `-low` added. */
function symmetric(low: number, high: number, highBits: boolean): BlockEncoder {
  const levels = codeRange(low, high);
  const codes = new Uint8Array(BLOCK);
  return (values, weights, target, at) => {
    const half = scaleToHalf(fitSignedScale(values, weights, 0, BLOCK, levels, SCALE_STEPS));
    writeHalf(target, at, half);
    const inverse = inverseOf(f16ToF32(half));
    for (let i = 0; i < BLOCK; i++) {
      codes[i] = nearestCode(values[i]!, inverse, low, high) - low;
    }
    packCodes(codes, target, at + 2, highBits);
  };
}

/** Q4_1 and Q5_1: scale and offset of any sign. */
function affine(last: number, highBits: boolean): BlockEncoder {
  const codes = new Uint8Array(BLOCK);
  const fit: Affine = { scale: 0, offset: 0 };
  return (values, weights, target, at) => {
    fitAffine(values, weights, 0, BLOCK, last, -Infinity, AFFINE_STEPS, fit);
    const scale = scaleToHalf(fit.scale);
    const minimum = scaleToHalf(-fit.offset);
    writeHalf(target, at, scale);
    writeHalf(target, at + 2, minimum);
    const inverse = inverseOf(f16ToF32(scale));
    for (let i = 0; i < BLOCK; i++) {
      codes[i] = nearestCode(values[i]! - f16ToF32(minimum), inverse, 0, last);
    }
    packCodes(codes, target, at + 4, highBits);
  };
}

/** Writes the fifth bits, where there are any, then codes j and j + 16 as the halves of byte j. */
function packCodes(codes: Uint8Array, target: Uint8Array, at: number, highBits: boolean): void {
  if (highBits) {
    target.fill(0, at, at + 4);
    for (let i = 0; i < BLOCK; i++) {
      target[at + (i >> 3)]! |= (codes[i]! >> 4) << (i & 7);
    }
    at += 4;
  }
  for (let j = 0; j < 16; j++) {
    target[at + j] = (codes[j]! & 15) | ((codes[j + 16]! & 15) << 4);
  }
}

export const encodeQ4_0 = rowEncoder('Q4_0', symmetric(-8, 7, false));
export const encodeQ4_1 = rowEncoder('Q4_1', affine(15, false));
export const encodeQ5_0 = rowEncoder('Q5_0', symmetric(-16, 15, true));
export const encodeQ5_1 = rowEncoder('Q5_1', affine(31, true));
export const encodeQ8_0 = rowEncoder('Q8_0', q80);
