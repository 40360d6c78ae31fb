import { FP4_DOUBLED_VALUES } from '../codebooks.js';
import { e8m0Half, ue4m3Half } from '../fp4.js';
import { type BlockEncoder, rowEncoder } from './block-encoder.js';
import { fitScale, inverseOf, moments } from './scale-fit.js';
import { tableLevels } from './table-levels.js';

// The layouts are described beside the decoders. The scales have so few values that those around the best real
// scale are simply all tried.

const ascending = [...new Set(FP4_DOUBLED_VALUES)].sort((a, b) => a - b);
const levels = tableLevels(ascending);
/** FP4 code of each ascending level. */
const codes = ascending.map((value) => FP4_DOUBLED_VALUES.indexOf(value));
const FIT_STEPS = 24;

/** Scale byte with the least error among those from `first` to `last`. */
function bestByte(
  values: Float64Array,
  weights: Float64Array,
  from: number,
  count: number,
  first: number,
  last: number,
  scaleOf: (byte: number) => number,
): number {
  let best = first;
  let bestCost = Infinity;
  for (let byte = first; byte <= last; byte++) {
    const scale = scaleOf(byte);
    levels.measure(values, weights, from, count, scale);
    const cost = scale * (scale * moments.q - 2 * moments.p);
    if (cost < bestCost) {
      bestCost = cost;
      best = byte;
    }
  }
  return best;
}

/** The last scale byte whose largest weight, 12 times its half, is a finite float. */
const MXFP4_LAST = 252;

const mxfp4: BlockEncoder = (values, weights, target, at) => {
  const fit = fitScale(values, weights, 0, 32, levels, 1, FIT_STEPS);
  const exponent = fit > 0 ? Math.floor(Math.log2(fit)) + 128 : 0;
  const first = Math.min(Math.max(exponent - 1, 0), MXFP4_LAST);
  const last = Math.min(first + 3, MXFP4_LAST);
  const byte = bestByte(values, weights, 0, 32, first, last, e8m0Half);
  target[at] = byte;
  packCodes(values, 0, 16, e8m0Half(byte), target, at + 1);
};

/** Bytes above mean NaN or repeat others. */
const UE4M3_LAST = 0x7e;

const nvfp4: BlockEncoder = (values, weights, target, at) => {
  for (let group = 0; group < 4; group++) {
    const fit = fitScale(values, weights, 16 * group, 16, levels, 1, FIT_STEPS);
    let first = 0;
    while (first < UE4M3_LAST && ue4m3Half(first) < 0.6 * fit) {
      first++;
    }
    let last = first;
    while (last < UE4M3_LAST && ue4m3Half(last) < 1.6 * fit) {
      last++;
    }
    const byte = bestByte(values, weights, 16 * group, 16, first, last, ue4m3Half);
    target[at + group] = byte;
    packCodes(values, 16 * group, 8, ue4m3Half(byte), target, at + 4 + 8 * group);
  }
};

/** Writes `bytes` bytes with the codes of `2 · bytes` weights, the second half in the high bits. */
function packCodes(
  values: Float64Array,
  from: number,
  bytes: number,
  scale: number,
  target: Uint8Array,
  at: number,
): void {
  const inverse = inverseOf(scale);
  for (let j = 0; j < bytes; j++) {
    const low = codes[levels.nearest(values[from + j]!, inverse)]!;
    const high = codes[levels.nearest(values[from + j + bytes]!, inverse)]!;
    target[at + j] = low | (high << 4);
  }
}

export const encodeMXFP4 = rowEncoder('MXFP4', mxfp4);
export const encodeNVFP4 = rowEncoder('NVFP4', nvfp4);
