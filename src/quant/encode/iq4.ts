import { IQ4NL_VALUES } from '../codebooks.js';
import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, scaleToHalf, writeHalf } from './block-encoder.js';
import { fitSignedScale, inverseOf } from './scale-fit.js';
import { superScaleSearch } from './super-scale.js';
import { tableLevels } from './table-levels.js';

// The layouts are described beside the decoders.

const levels = tableLevels(IQ4NL_VALUES);

const iq4nl: BlockEncoder = (values, weights, target, at) => {
  const half = scaleToHalf(fitSignedScale(values, weights, 0, 32, levels, 40));
  writeHalf(target, at, half);
  packCodes(values, 0, f16ToF32(half), target, at + 2);
};

const search = superScaleSearch({
  sub: 32,
  levels,
  lowestScale: -32,
  highestScale: 31,
  starts: [-32, 31, -30, 29, -28, 27],
  steps: 24,
});

const iq4xs: BlockEncoder = (values, weights, target, at) => {
  const { d, scales } = search(values, weights);
  writeHalf(target, at, d);
  target.fill(0, at + 2, at + 8);
  for (let group = 0; group < 8; group++) {
    const scale = scales[group]! + 32;
    target[at + 2 + (group >> 2)]! |= (scale >> 4) << (2 * (group & 3));
    target[at + 4 + (group >> 1)]! |= (scale & 15) << (4 * (group & 1));
    packCodes(values, 32 * group, f16ToF32(d) * scales[group]!, target, at + 8 + 16 * group);
  }
};

function packCodes(values: Float64Array, from: number, scale: number, target: Uint8Array, at: number): void {
  const inverse = inverseOf(scale);
  for (let j = 0; j < 16; j++) {
    const low = levels.nearest(values[from + j]!, inverse);
    const high = levels.nearest(values[from + j + 16]!, inverse);
    target[at + j] = low | (high << 4);
  }
}

export const encodeIQ4_NL = rowEncoder('IQ4_NL', iq4nl);
export const encodeIQ4_XS = rowEncoder('IQ4_XS', iq4xs);
