import { NF4_VALUES, nf4Code } from './nf4.js';

/** The 4-bit codebooks of bitsandbytes. */
export type FourBitType = 'nf4' | 'fp4';

/** Weights that share a scale, bitsandbytes' default. */
export const FOUR_BIT_BLOCK = 64;

/** bitsandbytes' smallest scale, which keeps blocks of zeros from dividing by zero. */
const SMALLEST_SCALE = 1e-38;

/** Magnitudes of FP4 in the order of the codes, which is that of its bits and not ascending; in twelfths. */
const FP4_TWELFTHS = [0, 0.0625, 8, 12, 4, 6, 2, 3];

/** The 16 values of each type, scaled to −1…1, by code. */
export const FOUR_BIT_VALUES: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.from(NF4_VALUES),
  // Plus zero: there is no negative zero among the values.
  fp4: Float32Array.from([1, -1].flatMap((sign) => FP4_TWELFTHS.map((value) => (sign * value) / 12 + 0))),
};

/** Codes of FP4 by ascending value. bitsandbytes sorts stably: of the two zeros the positive one comes first. */
const FP4_ORDER = [...FOUR_BIT_VALUES.fp4.keys()].sort(
  (a, b) => FOUR_BIT_VALUES.fp4[a]! - FOUR_BIT_VALUES.fp4[b]!,
);

/** Largest values that each code of `FP4_ORDER` but the last stands for. */
const FP4_BORDERS = FP4_ORDER.slice(1).map((code, place) => {
  const below = FOUR_BIT_VALUES.fp4[FP4_ORDER[place]!]!;
  return Math.fround((FOUR_BIT_VALUES.fp4[code]! + below) / 2);
});

/** The code nearest to a value of −1…1; of two as near, the lower value. */
function fp4Code(value: number): number {
  let place = 0;
  for (let step = 8; step > 0; step >>= 1) {
    if (value > FP4_BORDERS[place + step - 1]!) place += step;
  }
  return FP4_ORDER[place]!;
}

const CODE_OF: Readonly<Record<FourBitType, (value: number) => number>> = { nf4: nf4Code, fp4: fp4Code };

/**
 * Encodes consecutive weights from the start of a block on. `codes` gets two weights a byte, the first in the high
 * half (ceil(n / 2) bytes); `scales` the largest magnitude of each block of `block` weights, the last block perhaps
 * shorter (ceil(n / block) floats). Exactly what bitsandbytes 0.50 computes.
 */
export function encodeFourBit(
  type: FourBitType,
  source: Float32Array,
  codes: Uint8Array,
  scales: Float32Array,
  block = FOUR_BIT_BLOCK,
): void {
  const codeOf = CODE_OF[type];
  codes.fill(0);
  for (let start = 0, index = 0; start < source.length; start += block, index++) {
    const end = Math.min(start + block, source.length);
    let scale = SMALLEST_SCALE;
    for (let i = start; i < end; i++) scale = Math.max(scale, Math.abs(source[i]!));
    scales[index] = scale;
    const inverse = Math.fround(1 / scale);
    for (let i = start; i < end; i++) {
      const code = codeOf(Math.fround(source[i]! * inverse));
      codes[i >> 1]! |= i % 2 === 0 ? code << 4 : code;
    }
  }
}

/** Where weights to be decoded lie among their tensor's. */
export interface FourBitRange {
  /** First weight, counted from the start of the tensor. */
  readonly first: number;
  readonly block: number;
  /** The 16 values of the codes. */
  readonly values: Float32Array;
}

/**
 * Decodes `target.length` weights from `first` on, in 32 bits: `codes` starts with the byte that holds the first of
 * them, `scales` with the scale of its block.
 */
export function decodeFourBit(
  { first, block, values }: FourBitRange,
  codes: Uint8Array,
  scales: Float32Array,
  target: Float32Array,
): void {
  const firstByte = Math.floor(first / 2);
  const firstBlock = Math.floor(first / block);
  for (let i = 0; i < target.length; i++) {
    const at = first + i;
    const pair = codes[Math.floor(at / 2) - firstByte]!;
    const code = at % 2 === 0 ? pair >> 4 : pair & 15;
    target[i] = values[code]! * scales[Math.floor(at / block) - firstBlock]!;
  }
}

/** What weights become by being encoded and decoded, scales kept in 32 bits. `target` may be `source`. */
export function roundToFourBit(type: FourBitType, source: Float32Array, target: Float32Array): void {
  const codes = new Uint8Array(Math.ceil(source.length / 2));
  const scales = new Float32Array(Math.ceil(source.length / FOUR_BIT_BLOCK));
  encodeFourBit(type, source, codes, scales);
  const range = { first: 0, block: FOUR_BIT_BLOCK, values: FOUR_BIT_VALUES[type] };
  decodeFourBit(range, codes, scales, target);
}
