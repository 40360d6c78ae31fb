import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, scaleToHalf, writeHalf } from './block-encoder.js';
import { inverseOf, nearestCode } from './scale-fit.js';

// The layouts are described beside the decoders.

const BLOCK = 256;
const order = new Uint8Array(BLOCK);
const digits = new Uint8Array(BLOCK);

/**
 * The scale with the least error for codes −1, 0, 1. The weights that are not zero are those with the largest
 * magnitudes, so all 256 numbers of them are tried: with m of them the error falls by (Σw|x|)² / Σw over these.
 */
function ternaryScale(values: Float64Array, weights: Float64Array): number {
  for (let i = 0; i < BLOCK; i++) {
    order[i] = i;
  }
  order.sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!));
  let magnitudes = 0;
  let total = 0;
  let bestGain = 0;
  let bestScale = 0;
  for (const i of order) {
    magnitudes += weights[i]! * Math.abs(values[i]!);
    total += weights[i]!;
    const gain = (magnitudes * magnitudes) / total;
    if (gain > bestGain) {
      bestGain = gain;
      bestScale = magnitudes / total;
    }
  }
  return bestScale;
}

/** Writes the scale as a half at `target[at]` and the digits 0, 1, 2 of the weights into `digits`. */
function encodeDigits(values: Float64Array, weights: Float64Array, target: Uint8Array, at: number): void {
  const half = scaleToHalf(ternaryScale(values, weights));
  writeHalf(target, at, half);
  const inverse = inverseOf(f16ToF32(half));
  for (let i = 0; i < BLOCK; i++) {
    digits[i] = nearestCode(values[i]!, inverse, -1, 1) + 1;
  }
}

const tq10: BlockEncoder = (values, weights, target, at) => {
  encodeDigits(values, weights, target, at + 52);
  packTernary(0, 32, 5, target, at);
  packTernary(160, 16, 5, target, at + 32);
  packTernary(240, 4, 4, target, at + 48);
};

/** Packs `count` digits each, `bytes` apart from `first` on, into `bytes` bytes: base-3 fractions of 256, rounded up. */
function packTernary(first: number, bytes: number, count: number, target: Uint8Array, at: number): void {
  for (let j = 0; j < bytes; j++) {
    let number = 0;
    for (let n = 0; n < 5; n++) {
      number = 3 * number + (n < count ? digits[first + n * bytes + j]! : 0);
    }
    target[at + j] = Math.ceil((number * 256) / 243);
  }
}

const tq20: BlockEncoder = (values, weights, target, at) => {
  encodeDigits(values, weights, target, at + 64);
  target.fill(0, at, at + 64);
  for (let i = 0; i < BLOCK; i++) {
    target[at + (i >> 7) * 32 + (i & 31)]! |= digits[i]! << ((i >> 4) & 6);
  }
};

export const encodeTQ1_0 = rowEncoder('TQ1_0', tq10);
export const encodeTQ2_0 = rowEncoder('TQ2_0', tq20);
