import { checkLengths, type Decode } from './block-decoder.js';
import { readU16 } from './words.js';

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** Float bit pattern of an IEEE half; exact, with subnormals; the payload of a NaN is kept. */
function f16BitsToF32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) {
    return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  }
  if (exponent === 0) {
    scratchFloat[0] = fraction * 2 ** -24;
    return (sign | scratchBits[0]!) >>> 0;
  }
  return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
}

// All 65,536 halves: every block scale is one, so decoding is one look-up.
const halfBits = new Uint32Array(1 << 16).map((_, half) => f16BitsToF32Bits(half));
const halfValues = new Float32Array(halfBits.buffer);

/** Value of the IEEE half with these 16 bits; exact. */
export function f16ToF32(half: number): number {
  return halfValues[half]!;
}

/** The 16 bits of the half nearest to `value` (taken as a float), ties to even. NaN gives a quiet NaN. */
export function f32ToF16(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return sign | 0x7e00;
  }
  // 65520 is half way between the largest half and the next power of two; the tie goes to infinity.
  if (magnitude >= 0x477ff000) {
    return sign | 0x7c00;
  }
  // Below the smallest normal half, adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
  if (magnitude < 0x38800000) {
    scratchFloat[0] = Math.abs(scratchFloat[0]!) + 0.5;
    return sign | (scratchBits[0]! - 0x3f000000);
  }
  const roundToEven = 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((magnitude - (112 << 23) + roundToEven) >>> 13);
}

/** Value of the bfloat16 with these 16 bits; exact. */
export function bf16ToF32(bits: number): number {
  scratchBits[0] = bits << 16;
  return scratchFloat[0]!;
}

/** Little-endian half at `source[at]`, as a number. */
export function readF16(source: Uint8Array, at: number): number {
  return halfValues[readU16(source, at)]!;
}

export const decodeF32: Decode = (source, target) => {
  checkLengths('F32', source, target);
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
};

// 16-bit floats are written as bit patterns, because storing a NaN as a number may change its payload.
export const decodeF16: Decode = (source, target) => {
  checkLengths('F16', source, target);
  const words = wordsOf(source);
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) {
    bits[i] = halfBits[words[i]!]!;
  }
};

export const decodeBf16: Decode = (source, target) => {
  checkLengths('BF16', source, target);
  const words = wordsOf(source);
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < bits.length; i++) {
    bits[i] = words[i]! << 16;
  }
};

/** The bytes as 16-bit words: a view where they are aligned, else a copy. Every platform Node has is little-endian. */
function wordsOf(bytes: Uint8Array): Uint16Array {
  if (bytes.byteOffset % 2 === 0) return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  return new Uint16Array(bytes.slice().buffer);
}
