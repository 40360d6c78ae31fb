import { IQ2S_GRID, IQ2XS_GRID, IQ2XXS_GRID } from '../codebooks.js';
import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, writeHalf } from './block-encoder.js';
import { appendHull, appendSum, clearChains, newChains, newPoints } from './hull.js';
import { collectCandidates, NARROWEST, newLattice, typicalScale, WIDEST } from './lattice.js';
import { latticeScaleSearch, payloadAt } from './lattice-scales.js';
import { cheapestFlip, isOdd, newSignedWeights, splitSigns } from './signed-words.js';

// The layouts are described beside the decoders. Eight weights are a word of magnitudes and eight signs.

const MULTIPLIERS = Float64Array.from({ length: 16 }, (_, code) => (code + 0.5) / 4);

interface Iq2Codes {
  d: number;
  /** Scale codes of groups of `8 · octets` weights. */
  readonly scales: Uint8Array;
  /** Per eight weights. */
  readonly entries: Uint16Array;
  readonly signs: Uint8Array;
}

/** Search for a grid whose scales belong to `octets` words each; `evenSigns`: the number of negative signs is even. */
function iq2Search(
  grid: Int8Array,
  octets: number,
  evenSigns: boolean,
): (values: Float64Array, weights: Float64Array) => Iq2Codes {
  const lattice = newLattice(grid, 8, 0);
  const words = grid.length / 8;
  const points = newPoints(words);
  const wordChains = newChains(32, 32 * words);
  const subChains = newChains(32 / octets, 32 * words);
  const findScales = latticeScaleSearch({ subs: 32 / octets, variants: 1, multipliers: MULTIPLIERS });
  const signed = newSignedWeights();
  const result = { entries: new Uint16Array(32), signs: new Uint8Array(32) };
  return (values, weights) => {
    splitSigns(values, signed);
    clearChains(wordChains);
    clearChains(subChains);
    let typical = 0;
    for (let k = 0; k < 32; k++) {
      if (k % octets === 0) {
        typical = typicalScale(lattice, values, weights, 8 * k, 8 * octets);
      }
      points.length = 0;
      const flipOne = evenSigns && isOdd(signed.signs[k]!);
      collectCandidates(
        lattice,
        signed.magnitudes,
        weights,
        8 * k,
        flipOne,
        0,
        NARROWEST * typical,
        WIDEST * typical,
        points,
      );
      appendHull(points, wordChains);
    }
    for (let k = 0; k < 32; k += octets) {
      appendSum(wordChains, k, 1, octets, 0, subChains);
    }
    const { d, codes } = findScales(subChains);
    for (let k = 0; k < 32; k++) {
      const entry = payloadAt(wordChains, k, f16ToF32(d) * MULTIPLIERS[codes[Math.floor(k / octets)]!]!);
      let signs = signed.signs[k]!;
      if (evenSigns && isOdd(signs)) {
        signs ^= 1 << cheapestFlip(grid, entry, 8, signed.magnitudes, weights, 8 * k);
      }
      result.entries[k] = entry;
      result.signs[k] = signs;
    }
    return { d, scales: codes, ...result };
  };
}

const searchXxs = iq2Search(IQ2XXS_GRID, 4, true);

const iq2xxs: BlockEncoder = (values, weights, target, at) => {
  const { d, scales, entries, signs } = searchXxs(values, weights);
  writeHalf(target, at, d);
  for (let group = 0; group < 8; group++) {
    let word = scales[group]! << 28;
    for (let k = 0; k < 4; k++) {
      target[at + 2 + 8 * group + k] = entries[4 * group + k]!;
      word |= (signs[4 * group + k]! & 127) << (7 * k);
    }
    for (let byte = 0; byte < 4; byte++) {
      target[at + 6 + 8 * group + byte] = word >>> (8 * byte);
    }
  }
};

const searchXs = iq2Search(IQ2XS_GRID, 2, true);

const iq2xs: BlockEncoder = (values, weights, target, at) => {
  const { d, scales, entries, signs } = searchXs(values, weights);
  writeHalf(target, at, d);
  for (let k = 0; k < 32; k++) {
    const word = entries[k]! | ((signs[k]! & 127) << 9);
    target[at + 2 + 2 * k] = word;
    target[at + 3 + 2 * k] = word >> 8;
  }
  packScales(scales, target, at + 66);
};

const searchS = iq2Search(IQ2S_GRID, 2, false);

const iq2s: BlockEncoder = (values, weights, target, at) => {
  const { d, scales, entries, signs } = searchS(values, weights);
  writeHalf(target, at, d);
  target.fill(0, at + 66, at + 74);
  for (let k = 0; k < 32; k++) {
    target[at + 2 + k] = entries[k]!;
    target[at + 34 + k] = signs[k]!;
    target[at + 66 + (k >> 2)]! |= (entries[k]! >> 8) << (2 * (k & 3));
  }
  packScales(scales, target, at + 74);
};

/** Four bits each, the first in the low half of a byte. */
function packScales(scales: Uint8Array, target: Uint8Array, at: number): void {
  for (let byte = 0; byte < 8; byte++) {
    target[at + byte] = scales[2 * byte]! | (scales[2 * byte + 1]! << 4);
  }
}

export const encodeIQ2_XXS = rowEncoder('IQ2_XXS', iq2xxs);
export const encodeIQ2_XS = rowEncoder('IQ2_XS', iq2xs);
export const encodeIQ2_S = rowEncoder('IQ2_S', iq2s);
