// Words and scales of super-blocks of the lattice formats.
import { halfOf, inverseOf, scaleOf, sumLanes, values, weights } from './block';
import { Grid, nearestOctet, nearestQuad } from './grid';
import { addLine, bestCode, bestLine, bestScale, chooseCodes, clearLines } from './scale-codes';

export const NOT_SHIFTED = 0;
export const GROUP_SHIFTED = 1;
export const WORD_SHIFTED = 2;
const SHIFT: f32 = 0.125;

/** What a lattice format lets its encoder choose. */
@unmanaged
export class WordFormat {
  grid: Grid;
  /** Eights of weights that share a scale. */
  octets: i32;
  /** Whether the values of a word are shifted by ±⅛, and who chooses the sign of that. */
  shifts: i32;
  /** The scale code c means d · unit · (2c + 1). */
  unit: f32;
  lastCode: i32;
  /** Mean square of the values of the words. */
  meanSquare: f32;
  /**
   * Multiples of the typical scale of a group that words are sought at: `probeCount` from `firstProbe` on, each
   * `probeStep` times the one before.
   */
  firstProbe: f32;
  probeStep: f32;
  probeCount: i32;
}

/** i32[64]: chosen words. */
export const words = memory.data(256, 16);
/** u8[32]: 1 where a word is shifted down. */
export const shiftedDown = memory.data(32, 16);

let foundP: f32 = 0;
let foundQ: f32 = 0;

/** Finds the words of a group at a scale; their P = Σwxg and Q = Σwg² go to `foundP` and `foundQ`. */
function searchGroup(format: WordFormat, group: i32, scale: f32, shift: f32): void {
  const inverses = f32x4.splat(inverseOf(scale));
  foundP = 0;
  foundQ = 0;
  for (let k = group * format.octets; k < (group + 1) * format.octets; k++) {
    if (format.grid.size == 4) {
      searchPair(format.grid, k, inverses);
    } else {
      searchOctet(format.grid, k, inverses, shift);
      if (format.shifts == WORD_SHIFTED) tryShiftDown(format.grid, k, inverses, scale);
    }
    foundP += octetP;
    foundQ += octetQ;
  }
}

/** P and Q of the eight weights searched last. */
let octetP: f32 = 0;
let octetQ: f32 = 0;

/** Eight weights as two words of four. */
@inline
function searchPair(grid: Grid, k: i32, inverses: v128): void {
  const at = <usize>k << 5;
  const x0 = v128.load(values + at);
  const x1 = v128.load(values + at, 16);
  const w0 = v128.load(weights + at);
  const w1 = v128.load(weights + at, 16);
  const word0 = nearestQuad(grid, f32x4.mul(x0, inverses), w0);
  const word1 = nearestQuad(grid, f32x4.mul(x1, inverses), w1);
  const pair = words + (<usize>k << 3);
  store<i32>(pair, word0);
  store<i32>(pair, word1, 4);
  sumOctet(x0, x1, w0, w1, v128.load(grid.words + (<usize>word0 << 4)), v128.load(grid.words + (<usize>word1 << 4)));
}

/** Eight weights as a word of eight, whose values are shifted. */
@inline
function searchOctet(grid: Grid, k: i32, inverses: v128, shift: f32): void {
  const at = <usize>k << 5;
  const x0 = v128.load(values + at);
  const x1 = v128.load(values + at, 16);
  const w0 = v128.load(weights + at);
  const w1 = v128.load(weights + at, 16);
  const shifts = f32x4.splat(shift);
  const shifted0 = f32x4.sub(f32x4.mul(x0, inverses), shifts);
  const word = nearestOctet(grid, shifted0, f32x4.sub(f32x4.mul(x1, inverses), shifts), w0, w1);
  store<i32>(words + (<usize>k << 2), word);
  store<u8>(shiftedDown + <usize>k, u8(shift < 0));
  const g = grid.words + (<usize>word << 5);
  sumOctet(x0, x1, w0, w1, f32x4.add(v128.load(g), shifts), f32x4.add(v128.load(g, 16), shifts));
}

/** Keeps the word found with the shift up, unless one with the shift down is better. */
@inline
function tryShiftDown(grid: Grid, k: i32, inverses: v128, scale: f32): void {
  const p = octetP;
  const q = octetQ;
  const word = load<i32>(words + (<usize>k << 2));
  searchOctet(grid, k, inverses, -SHIFT);
  if (scale * octetQ - 2 * octetP < scale * q - 2 * p) return;
  octetP = p;
  octetQ = q;
  store<i32>(words + (<usize>k << 2), word);
  store<u8>(shiftedDown + <usize>k, 0);
}

@inline
function sumOctet(x0: v128, x1: v128, w0: v128, w1: v128, g0: v128, g1: v128): void {
  const wg0 = f32x4.mul(w0, g0);
  const wg1 = f32x4.mul(w1, g1);
  octetP = sumLanes(f32x4.add(f32x4.mul(wg0, x0), f32x4.mul(wg1, x1)));
  octetQ = sumLanes(f32x4.add(f32x4.mul(wg0, g0), f32x4.mul(wg1, g1)));
}

/** The scale at which a group has the mean square of the words' values. */
export function typicalScale(format: WordFormat, group: i32): f32 {
  let squares = f32x4.splat(0);
  let total = f32x4.splat(0);
  const bytes = <usize>format.octets << 5;
  const from = <usize>group * bytes;
  for (let at = from; at < from + bytes; at += 16) {
    const x = v128.load(values + at);
    const w = v128.load(weights + at);
    squares = f32x4.add(squares, f32x4.mul(w, f32x4.mul(x, x)));
    total = f32x4.add(total, w);
  }
  return sqrt(sumLanes(squares) / (sumLanes(total) * format.meanSquare));
}

/** u8[16]: scale codes of the groups. */
export const codes = memory.data(16, 16);

/** The probes of a group, and last the scale that suits the words of the best one, as lines from `line` on. */
function probe(format: WordFormat, group: i32, typical: f32, shift: f32, line: i32): void {
  let scale = typical * format.firstProbe;
  let bestGain: f32 = 0;
  let own: f32 = 0;
  for (let n = 0; n < format.probeCount; n++) {
    searchGroup(format, group, scale, shift);
    addLine(group, line + n, foundP, foundQ);
    if (foundP > 0 && foundP * foundP > bestGain * foundQ) {
      bestGain = (foundP * foundP) / foundQ;
      own = foundP / foundQ;
    }
    scale *= format.probeStep;
  }
  if (own > 0) searchGroup(format, group, own, shift);
  addLine(group, line + format.probeCount, foundP, foundQ);
}

/**
 * Searches the super-block in `values` and `weights`; fills `words`, `shiftedDown` and `codes`, returns bits of d.
 *
 * Words are sought at several scales of every group. What these cost at any other scale is known, so d and the scale
 * codes follow without looking at weights; then the final words are sought at the scales chosen.
 */
export function searchWords(format: WordFormat): u32 {
  const groups = 32 / format.octets;
  const lines = format.probeCount + 1;
  clearLines(groups);
  for (let group = 0; group < groups; group++) {
    const typical = typicalScale(format, group);
    probe(format, group, typical, format.shifts == NOT_SHIFTED ? 0 : SHIFT, 0);
    if (format.shifts == GROUP_SHIFTED) probe(format, group, typical, -SHIFT, lines);
  }
  chooseCodes(format.unit, format.lastCode);
  const half = halfOf(bestScale);
  const d = scaleOf(half);
  let numerator: f32 = 0;
  let denominator: f32 = 0;
  for (let group = 0; group < groups; group++) {
    const code = bestCode(group);
    store<u8>(codes + <usize>group, <u8>code);
    const multiplier = format.unit * <f32>(code + code + 1);
    const shift: f32 = format.shifts == NOT_SHIFTED ? 0 : bestLine(group) < lines ? SHIFT : -SHIFT;
    searchGroup(format, group, d * multiplier, shift);
    numerator += multiplier * foundP;
    denominator += multiplier * multiplier * foundQ;
  }
  if (!(denominator > 0)) return half;
  const refitted = halfOf(numerator / denominator);
  const e = scaleOf(refitted);
  return e * (e * denominator - 2 * numerator) < d * (d * denominator - 2 * numerator) ? refitted : half;
}
