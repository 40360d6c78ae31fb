import { largestMagnitude } from './largest-magnitude.js';

/** The 4-bit codebooks of bitsandbytes. */
export type FourBitType = 'nf4' | 'fp4';

/** Weights that share a scale, bitsandbytes' default. */
export const FOUR_BIT_BLOCK = 64;

/** bitsandbytes' smallest scale, which keeps blocks of zeros from dividing by zero. */
const SMALLEST_SCALE = 1e-38;

/** Quantiles of a normal distribution, scaled to −1…1 (Dettmers et al., 2023). */
const NF4_VALUES = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

/** Magnitudes of FP4 in the order of the codes, which is that of its bits and not ascending; in twelfths. */
const FP4_TWELFTHS = [0, 0.0625, 8, 12, 4, 6, 2, 3];

/** The 16 values of each type, scaled to −1…1, by code. */
export const FOUR_BIT_VALUES: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.from(NF4_VALUES),
  // Plus zero: there is no negative zero among the values.
  fp4: Float32Array.from([1, -1].flatMap((sign) => FP4_TWELFTHS.map((value) => (sign * value) / 12 + 0))),
};

/** How values of −1…1 are rounded to the codes of a type: the nearest, and of two as near the lower. */
interface Rounding {
  /** Codes by ascending value. bitsandbytes sorts stably: of FP4's two zeros the code 0 comes first. */
  readonly order: Uint8Array;
  /** Largest values that each of `order` stands for; the last is infinite. */
  readonly borders: Float64Array;
  /** Place in `order` of the lowest value of each `1 / STEPS` from −1 on. No two borders are as near as that. */
  readonly places: Uint8Array;
}

const STEPS = 2048;

const ROUNDING: Readonly<Record<FourBitType, Rounding>> = { nf4: roundingOf('nf4'), fp4: roundingOf('fp4') };

function roundingOf(type: FourBitType): Rounding {
  const values = FOUR_BIT_VALUES[type];
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const borders = order.map((code, place) => {
    const next = order[place + 1];
    return next === undefined ? Number.POSITIVE_INFINITY : Math.fround((values[code]! + values[next]!) / 2);
  });
  const places = Array.from({ length: 2 * STEPS + 1 }, (_, step) =>
    borders.findIndex((border) => border >= step / STEPS - 1),
  );
  return {
    order: Uint8Array.from(order),
    borders: Float64Array.from(borders),
    places: Uint8Array.from(places),
  };
}

/**
 * Encodes consecutive weights from the start of a block on. `codes` gets two weights a byte, the first in the high
 * half (ceil(n / 2) bytes); `scales` the largest magnitude of each block of `block` weights, an even number, the last
 * block perhaps shorter (ceil(n / block) floats). Exactly what bitsandbytes 0.50 computes.
 * Throws `non-finite-weights` (bad-file).
 */
export function encodeFourBit(
  type: FourBitType,
  source: Float32Array,
  codes: Uint8Array,
  scales: Float32Array,
  block = FOUR_BIT_BLOCK,
): void {
  const { order, borders, places } = ROUNDING[type];
  for (let start = 0, index = 0; start < source.length; start += block, index++) {
    const end = Math.min(start + block, source.length);
    const scale = Math.max(SMALLEST_SCALE, largestMagnitude(source, start, end));
    scales[index] = scale;
    const inverse = Math.fround(1 / scale);
    for (let i = start; i < end; i += 2) {
      const first = Math.fround(source[i]! * inverse);
      let place = places[((first + 1) * STEPS) | 0]!;
      if (first > borders[place]!) place++;
      let pair = order[place]! << 4;
      if (i + 1 < end) {
        const second = Math.fround(source[i + 1]! * inverse);
        place = places[((second + 1) * STEPS) | 0]!;
        if (second > borders[place]!) place++;
        pair |= order[place]!;
      }
      codes[i >> 1] = pair;
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
