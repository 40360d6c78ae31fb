// The i-quants: layouts are described beside the decoders in src/quant.
import { float, leastLane, loadBlock, values, weights } from './block';
import { newGrid } from './grid';
import {
  codes, GROUP_SHIFTED, NOT_SHIFTED, searchWords, shiftedDown, typicalScale, WORD_SHIFTED, WordFormat, words,
} from './words';

function newFormat(
  octets: i32, shifts: i32, unit: f32, lastCode: i32, firstProbe: f32, probeStep: f32, probeCount: i32,
): WordFormat {
  const format = changetype<WordFormat>(heap.alloc(offsetof<WordFormat>()));
  format.octets = octets;
  format.shifts = shifts;
  format.unit = unit;
  format.lastCode = lastCode;
  format.firstProbe = firstProbe;
  format.probeStep = probeStep;
  format.probeCount = probeCount;
  return format;
}

// More probes and longer lists lower the error a little; the finer the grid, the more probes help.
const iq1s = newFormat(4, GROUP_SHIFTED, 1, 7, 0.9, 1.3, 3);
const iq1m = newFormat(2, WORD_SHIFTED, 1, 7, 0.9, 1.4, 2);
const iq2xxs = newFormat(4, NOT_SHIFTED, 0.125, 15, 0.7, 1.22, 7);
const iq2xs = newFormat(2, NOT_SHIFTED, 0.125, 15, 0.7, 1.22, 7);
const iq2s = newFormat(2, NOT_SHIFTED, 0.125, 15, 0.75, 1.3, 5);
const iq3xxs = newFormat(4, NOT_SHIFTED, 0.25, 15, 0.7, 1.15, 10);
const iq3s = newFormat(4, NOT_SHIFTED, 1, 15, 0.7, 1.2, 8);

function setGrid(format: WordFormat, entries: usize, count: i32, size: i32, listed: i32): void {
  format.grid = newGrid(entries, count, size, listed);
  const values = count * size;
  let squares: f32 = 0;
  for (let i = 0; i < values; i++) squares += float(format.grid.words, i) * float(format.grid.words, i);
  format.meanSquare = squares / <f32>values;
}

export function setGridIQ1_S(entries: usize): void {
  setGrid(iq1s, entries, 2048, 8, 12);
}

export function setGridIQ1_M(entries: usize): void {
  setGrid(iq1m, entries, 2048, 8, 8);
}

export function setGridIQ2_XXS(entries: usize): void {
  setGrid(iq2xxs, entries, 256, 8, 32);
}

export function setGridIQ2_XS(entries: usize): void {
  setGrid(iq2xs, entries, 512, 8, 32);
}

export function setGridIQ2_S(entries: usize): void {
  setGrid(iq2s, entries, 1024, 8, 16);
}

export function setGridIQ3_XXS(entries: usize): void {
  setGrid(iq3xxs, entries, 256, 4, 16);
}

export function setGridIQ3_S(entries: usize): void {
  setGrid(iq3s, entries, 512, 4, 12);
}

@inline
function word(k: i32): i32 {
  return load<i32>(words + (<usize>k << 2));
}

export function encodeIQ1_S(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 50);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchWords(iq1s));
  for (let group = 0; group < 8; group++) {
    let high = (<i32>load<u8>(codes + <usize>group) << 12) | (<i32>load<u8>(shiftedDown + <usize>(4 * group)) << 15);
    for (let k = 0; k < 4; k++) {
      const entry = word(4 * group + k);
      store<u8>(target + 2 + <usize>(4 * group + k), <u8>entry);
      high |= (entry >> 8) << (3 * k);
    }
    store<u16>(target + 34 + <usize>(2 * group), <u16>high);
  }
}

export function encodeIQ1_M(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 56);
  if (!loadBlock(source, importances, 256)) return;
  const d = searchWords(iq1m);
  for (let k = 0; k < 32; k++) {
    const entry = word(k);
    const at = target + <usize>k;
    store<u8>(at, <u8>entry);
    const high = (entry >> 8) | (<i32>load<u8>(shiftedDown + <usize>k) << 3);
    const byte = target + 32 + <usize>(k >> 1);
    store<u8>(byte, load<u8>(byte) | <u8>(high << (4 * (k & 1))));
  }
  for (let k = 0; k < 4; k++) {
    const four = codes + <usize>(4 * k);
    store<u16>(
      target + 48 + <usize>(2 * k),
      <u16>(
        <i32>load<u8>(four) |
        (<i32>load<u8>(four, 1) << 3) |
        (<i32>load<u8>(four, 2) << 6) |
        (<i32>load<u8>(four, 3) << 9) |
        (((<i32>d >> (4 * k)) & 15) << 12)
      ),
    );
  }
}

/** u8[32]: bit j is set where weight j of the eight is negative. */
const signs = memory.data(32, 16);

/**
 * Leaves magnitudes in `values`, with their signs in `signs`. Where the signs of eight weights have to be even in
 * number and are not, the weight that costs least takes the wrong one, and is negative in `values`.
 */
function splitSigns(format: WordFormat, even: bool): void {
  let lowest: f32 = 0;
  for (let k: usize = 0; k < 32; k++) {
    if (even && <i32>k % format.octets == 0) {
      lowest = 2 * typicalScale(format, <i32>k / format.octets) * load<f32>(format.grid.levels);
    }
    const at = values + (k << 5);
    const x0 = v128.load(at);
    const x1 = v128.load(at, 16);
    const m0 = f32x4.abs(x0);
    const m1 = f32x4.abs(x1);
    v128.store(at, m0);
    v128.store(at, m1, 16);
    let bits = i32x4.bitmask(x0) | (i32x4.bitmask(x1) << 4);
    if (even && (popcnt(bits) & 1)) {
      // With the wrong sign a weight costs 4·w·|x|·s·g more. g is about |x| / s, but never below its least; to count
      // twice that lowers the error further, because small weights do not always get the least.
      const floor = f32x4.splat(lowest);
      const from = weights + (k << 5);
      const c0 = f32x4.mul(f32x4.mul(v128.load(from), m0), f32x4.pmax(m0, floor));
      const c1 = f32x4.mul(f32x4.mul(v128.load(from, 16), m1), f32x4.pmax(m1, floor));
      const least = f32x4.splat(leastLane(f32x4.pmin(c0, c1)));
      const flip = ctz(i32x4.bitmask(f32x4.eq(c0, least)) | (i32x4.bitmask(f32x4.eq(c1, least)) << 4));
      bits ^= 1 << flip;
      const value = at + (<usize>flip << 2);
      store<f32>(value, -load<f32>(value));
    }
    store<u8>(signs + k, <u8>bits);
  }
}

function searchSigned(format: WordFormat, even: bool): u32 {
  splitSigns(format, even);
  return searchWords(format);
}

/** Four scale code bits and the four times seven sign bits of a group of 32. */
@inline
function scaleAndSigns(group: usize): u32 {
  const four = signs + (group << 2);
  return (
    <u32>(load<u8>(four) & 127) |
    (<u32>(load<u8>(four, 1) & 127) << 7) |
    (<u32>(load<u8>(four, 2) & 127) << 14) |
    (<u32>(load<u8>(four, 3) & 127) << 21) |
    (<u32>load<u8>(codes + group) << 28)
  );
}

/** Scale codes of four bits, the first in the low half of a byte. */
function packScales(target: usize, bytes: usize): void {
  for (let byte: usize = 0; byte < bytes; byte++) {
    store<u8>(target + byte, load<u8>(codes + 2 * byte) | (load<u8>(codes + 2 * byte, 1) << 4));
  }
}

export function encodeIQ2_XXS(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 66);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchSigned(iq2xxs, true));
  for (let group: usize = 0; group < 8; group++) {
    const at = target + 2 + (group << 3);
    for (let k: usize = 0; k < 4; k++) store<u8>(at + k, <u8>word(<i32>((group << 2) + k)));
    store<u32>(at, scaleAndSigns(group), 4);
  }
}

export function encodeIQ2_XS(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 74);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchSigned(iq2xs, true));
  for (let k: usize = 0; k < 32; k++) {
    store<u16>(target + 2 + (k << 1), <u16>(word(<i32>k) | (<i32>(load<u8>(signs + k) & 127) << 9)));
  }
  packScales(target + 66, 8);
}

export function encodeIQ2_S(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 82);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchSigned(iq2s, false));
  for (let k: usize = 0; k < 32; k++) {
    const entry = word(<i32>k);
    store<u8>(target + 2 + k, <u8>entry);
    store<u8>(target + 34 + k, load<u8>(signs + k));
    const byte = target + 66 + (k >> 2);
    store<u8>(byte, load<u8>(byte) | <u8>((entry >> 8) << (<i32>(k & 3) << 1)));
  }
  packScales(target + 74, 8);
}

export function encodeIQ3_XXS(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 98);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchSigned(iq3xxs, true));
  for (let k: usize = 0; k < 64; k++) store<u8>(target + 2 + k, <u8>word(<i32>k));
  for (let group: usize = 0; group < 8; group++) store<u32>(target + 66 + (group << 2), scaleAndSigns(group));
}

export function encodeIQ3_S(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 110);
  if (!loadBlock(source, importances, 256)) return;
  store<u16>(target, <u16>searchSigned(iq3s, false));
  for (let k: usize = 0; k < 64; k++) {
    const entry = word(<i32>k);
    store<u8>(target + 2 + k, <u8>entry);
    const byte = target + 66 + (k >> 3);
    store<u8>(byte, load<u8>(byte) | <u8>((entry >> 8) << <i32>(k & 7)));
  }
  v128.store(target + 74, v128.load(signs));
  v128.store(target + 74, v128.load(signs, 16), 16);
  packScales(target + 106, 4);
}
