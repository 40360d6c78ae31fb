import { f16ToF32 } from '../float.js';
import { type BlockEncoder, writeHalf } from './block-encoder.js';
import { codeRange, inverseOf, nearestCode } from './scale-fit.js';
import type { SuperAffineSearch, SuperAffineShape } from './super-affine.js';
import type { CodeRangeShape, SuperScaleSearch } from './super-scale.js';

// The layouts are described beside the decoders.

export const Q2_SHAPE: SuperAffineShape = {
  sub: 16,
  last: 3,
  lastScale: 15,
  spread: 2,
  starts: [15, 14, 13, 12, 11, 10, 9],
  steps: 16,
};

export const q2k =
  (search: SuperAffineSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, dmin, scales, offsets, codes } = search(values, weights);
    for (let group = 0; group < 16; group++) {
      target[at + group] = scales[group]! | (offsets[group]! << 4);
    }
    packTwoBits(codes, target, at + 16);
    writeHalf(target, at + 80, d);
    writeHalf(target, at + 82, dmin);
  };

export const Q3_SHAPE: CodeRangeShape = {
  sub: 16,
  levels: codeRange(-4, 3),
  lowestScale: -32,
  highestScale: 31,
  starts: [-32, 31, -30, 29, -28, 27, -26, 25, -23, 21],
  steps: 16,
};
const q3Codes = new Uint8Array(256);

export const q3k =
  (search: SuperScaleSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, scales } = search(values, weights);
    codesOf(values, d, scales, -4, 3, q3Codes);
    target.fill(0, at, at + 110);
    for (let i = 0; i < 256; i++) {
      target[at + (i & 31)]! |= (q3Codes[i]! >> 2) << (i >> 5);
      q3Codes[i]! &= 3;
    }
    packTwoBits(q3Codes, target, at + 32);
    for (let group = 0; group < 16; group++) {
      const scale = scales[group]! + 32;
      target[at + 96 + (group & 7)]! |= (scale & 15) << (4 * (group >> 3));
      target[at + 104 + (group & 3)]! |= (scale >> 4) << (2 * (group >> 2));
    }
    writeHalf(target, at + 108, d);
  };

export const Q4_SHAPE: SuperAffineShape = {
  sub: 32,
  last: 15,
  lastScale: 63,
  spread: 1,
  starts: [63, 60, 57],
  steps: 12,
};

export const q4k =
  (search: SuperAffineSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, dmin, scales, offsets, codes } = search(values, weights);
    writeHalf(target, at, d);
    writeHalf(target, at + 2, dmin);
    packSixBits(scales, offsets, target, at + 4);
    packFourBits(codes, target, at + 16);
  };

export const Q5_SHAPE: SuperAffineShape = {
  sub: 32,
  last: 31,
  lastScale: 63,
  spread: 1,
  starts: [63, 60, 57],
  steps: 12,
};

export const q5k =
  (search: SuperAffineSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, dmin, scales, offsets, codes } = search(values, weights);
    writeHalf(target, at, d);
    writeHalf(target, at + 2, dmin);
    packSixBits(scales, offsets, target, at + 4);
    target.fill(0, at + 16, at + 48);
    for (let i = 0; i < 256; i++) {
      target[at + 16 + (i & 31)]! |= (codes[i]! >> 4) << (i >> 5);
    }
    packFourBits(codes, target, at + 48);
  };

export const Q6_SHAPE: CodeRangeShape = {
  sub: 16,
  levels: codeRange(-32, 31),
  lowestScale: -128,
  highestScale: 127,
  starts: [-128, 127],
  steps: 16,
};
const q6Codes = new Uint8Array(256);

export const q6k =
  (search: SuperScaleSearch): BlockEncoder =>
  (values, weights, target, at) => {
    const { d, scales } = search(values, weights);
    codesOf(values, d, scales, -32, 31, q6Codes);
    target.fill(0, at, at + 192);
    for (let i = 0; i < 256; i++) {
      const half = i >> 7;
      const code = q6Codes[i]!;
      target[at + 64 * half + (i & 63)]! |= (code & 15) << ((i >> 4) & 4);
      target[at + 128 + 32 * half + (i & 31)]! |= (code >> 4) << ((i >> 4) & 6);
    }
    for (let group = 0; group < 16; group++) {
      target[at + 192 + group] = scales[group]!;
    }
    writeHalf(target, at + 208, d);
  };

/** Codes nearest at the chosen scales of groups of 16, counted from `low`. */
function codesOf(
  values: Float64Array,
  d: number,
  scales: Int8Array,
  low: number,
  high: number,
  codes: Uint8Array,
): void {
  for (let i = 0; i < 256; i++) {
    const inverse = inverseOf(f16ToF32(d) * scales[i >> 4]!);
    codes[i] = nearestCode(values[i]!, inverse, low, high) - low;
  }
}

function packTwoBits(codes: Uint8Array, target: Uint8Array, at: number): void {
  for (let byte = 0; byte < 64; byte++) {
    const first = 128 * (byte >> 5) + (byte & 31);
    target[at + byte] =
      codes[first]! | (codes[first + 32]! << 2) | (codes[first + 64]! << 4) | (codes[first + 96]! << 6);
  }
}

function packFourBits(codes: Uint8Array, target: Uint8Array, at: number): void {
  for (let byte = 0; byte < 128; byte++) {
    const first = 64 * (byte >> 5) + (byte & 31);
    target[at + byte] = (codes[first]! & 15) | ((codes[first + 32]! & 15) << 4);
  }
}

function packSixBits(scales: Uint8Array, offsets: Uint8Array, target: Uint8Array, at: number): void {
  for (let group = 0; group < 4; group++) {
    target[at + group] = scales[group]! | ((scales[group + 4]! >> 4) << 6);
    target[at + group + 4] = offsets[group]! | ((offsets[group + 4]! >> 4) << 6);
    target[at + group + 8] = (scales[group + 4]! & 15) | ((offsets[group + 4]! & 15) << 4);
  }
}
