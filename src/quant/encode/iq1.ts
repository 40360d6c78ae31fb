import { IQ1S_GRID } from '../codebooks.js';
import { f16ToF32 } from '../float.js';
import { type BlockEncoder, rowEncoder, writeHalf } from './block-encoder.js';
import { appendHull, appendSum, clearChains, newChains, newPoints } from './hull.js';
import { collectCandidates, NARROWEST, newLattice, typicalScale, WIDEST } from './lattice.js';
import { latticeScaleSearch, payloadAt } from './lattice-scales.js';

// The layouts are described beside the decoders. Eight weights are a word of −1, 0, 1, all shifted by ±⅛.

const WORDS = 2048;
const MULTIPLIERS = Float64Array.from({ length: 8 }, (_, code) => 2 * code + 1);
const lattices = [newLattice(IQ1S_GRID, 8, 0.125), newLattice(IQ1S_GRID, 8, -0.125)];
const points = newPoints(2 * WORDS);
const wordChains = newChains(64, 64 * WORDS);
const subChains = newChains(16, 64 * WORDS);

/** IQ1_S: the shift belongs to the scale's 32 weights, so every group has one chain for each. */
const findScalesS = latticeScaleSearch({ subs: 8, variants: 2, multipliers: MULTIPLIERS });

const iq1s: BlockEncoder = (values, weights, target, at) => {
  clearChains(wordChains);
  clearChains(subChains);
  let typical = 0;
  for (const lattice of lattices) {
    for (let k = 0; k < 32; k++) {
      if (k % 4 === 0) {
        typical = typicalScale(lattice, values, weights, 8 * k, 32);
      }
      points.length = 0;
      collectCandidates(
        lattice,
        values,
        weights,
        8 * k,
        false,
        0,
        NARROWEST * typical,
        WIDEST * typical,
        points,
      );
      appendHull(points, wordChains);
    }
  }
  for (let k = 0; k < 64; k += 4) {
    appendSum(wordChains, k, 1, 4, 0, subChains);
  }
  const { d, codes, variants } = findScalesS(subChains);
  writeHalf(target, at, d);
  for (let group = 0; group < 8; group++) {
    const scale = f16ToF32(d) * MULTIPLIERS[codes[group]!]!;
    let word = (codes[group]! << 12) | (variants[group]! << 15);
    for (let k = 0; k < 4; k++) {
      const entry = payloadAt(wordChains, 32 * variants[group]! + 4 * group + k, scale);
      target[at + 2 + 4 * group + k] = entry;
      word |= (entry >> 8) << (3 * k);
    }
    target[at + 34 + 2 * group] = word;
    target[at + 35 + 2 * group] = word >> 8;
  }
};

/** IQ1_M: every word has a shift of its own, so both are candidates in one chain; the scale is that of 16 weights. */
const findScalesM = latticeScaleSearch({ subs: 16, variants: 1, multipliers: MULTIPLIERS });

const iq1m: BlockEncoder = (values, weights, target, at) => {
  clearChains(wordChains);
  clearChains(subChains);
  let typical = 0;
  for (let k = 0; k < 32; k++) {
    if (k % 2 === 0) {
      typical = typicalScale(lattices[0]!, values, weights, 8 * k, 16);
    }
    points.length = 0;
    lattices.forEach((lattice, shift) => {
      collectCandidates(
        lattice,
        values,
        weights,
        8 * k,
        false,
        WORDS * shift,
        NARROWEST * typical,
        WIDEST * typical,
        points,
      );
    });
    appendHull(points, wordChains);
  }
  for (let k = 0; k < 32; k += 2) {
    appendSum(wordChains, k, 1, 2, 0, subChains);
  }
  const { d, codes } = findScalesM(subChains);
  target.fill(0, at + 32, at + 56);
  for (let k = 0; k < 32; k++) {
    // Bits 8 to 10 of the entry and the shift above them are the four high bits.
    const entry = payloadAt(wordChains, k, f16ToF32(d) * MULTIPLIERS[codes[k >> 1]!]!);
    target[at + k] = entry;
    target[at + 32 + (k >> 1)]! |= (entry >> 8) << (4 * (k & 1));
  }
  for (let k = 0; k < 4; k++) {
    const word =
      codes[4 * k]! |
      (codes[4 * k + 1]! << 3) |
      (codes[4 * k + 2]! << 6) |
      (codes[4 * k + 3]! << 9) |
      (((d >> (4 * k)) & 15) << 12);
    target[at + 48 + 2 * k] = word;
    target[at + 49 + 2 * k] = word >> 8;
  }
};

export const encodeIQ1_S = rowEncoder('IQ1_S', iq1s);
export const encodeIQ1_M = rowEncoder('IQ1_M', iq1m);
