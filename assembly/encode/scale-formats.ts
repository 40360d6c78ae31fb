// Formats with scales only: layouts are described beside the decoders in src/quant.
import { halfOf, inverseOf, loadBlock, scaleOf, values } from './block';
import { fifthBits, packFourBits, packTwoBits } from './pack';
import { fitScale, fittedGain, fittedScale, Levels, nearestLevels, newRange, newTable } from './scale-levels';
import { bestScales, ScaleShape, searchSuperScale } from './super-scale';

function newShape(
  levels: Levels, sub: i32, lowestScale: f32, highestScale: f32, nearest: f32, farthest: f32, steps: i32,
  signs: i32, starts: i32, kept: i32,
): ScaleShape {
  const shape = changetype<ScaleShape>(heap.alloc(offsetof<ScaleShape>()));
  shape.levels = levels;
  shape.subBytes = <usize>sub << 2;
  shape.lowestScale = lowestScale;
  shape.highestScale = highestScale;
  shape.nearest = nearest;
  shape.farthest = farthest;
  shape.steps = steps;
  shape.signs = signs;
  shape.starts = starts;
  shape.kept = kept;
  return shape;
}

const IQ4_TABLE = memory.data<f32>([
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
]);
const iq4Levels = newTable(IQ4_TABLE, 16);
const q3Shape = newShape(newRange(-4, 3), 16, -32, 31, 0.8, 1.4, 6, 2, 4, 1);
const q6Shape = newShape(newRange(-32, 31), 16, -128, 127, 0.9, 1.1, 6, 1, 2, 1);
const iq4Shape = newShape(iq4Levels, 32, -32, 31, 0.8, 1.4, 8, 2, 4, 1);

const codes = memory.data(256, 16);

/** Codes of `bytes` of weights from `from` on, counted from `low`, to `codes`. */
function roundCodes(levels: Levels, from: usize, bytes: usize, scale: f32, low: i32): void {
  const inverses = f32x4.splat(inverseOf(scale));
  // Added to 1.5 · 2^23, a whole number stands in the low bits.
  const base = f32x4.splat(12582912 - <f32>low);
  for (let at = from; at < from + bytes; at += 16) {
    const rounded = f32x4.add(nearestLevels(levels, f32x4.mul(v128.load(values + at), inverses)), base);
    const bytesOf = v128.shuffle<i8>(rounded, rounded, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    store<u32>(codes + (at >> 2), i32x4.extract_lane(bytesOf, 0));
  }
}

export function encodeQ3_K(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 110);
  if (!loadBlock(source, importances, 256)) return;
  const d = searchSuperScale(q3Shape);
  const step = scaleOf(d);
  for (let group: usize = 0; group < 16; group++) {
    const scale = <i32>load<i8>(bestScales + group);
    roundCodes(q3Shape.levels, group << 6, 64, step * <f32>scale, -4);
    const low = target + 96 + (group & 7);
    store<u8>(low, load<u8>(low) | <u8>(((scale + 32) & 15) << (<i32>(group >> 3) << 2)));
    const high = target + 104 + (group & 3);
    store<u8>(high, load<u8>(high) | <u8>(((scale + 32) >> 4) << (<i32>(group >> 2) << 1)));
  }
  for (let at: usize = 0; at < 32; at += 16) {
    let mask = i8x16.splat(0);
    for (let n: usize = 0; n < 8; n++) {
      const bits = i8x16.shr_u(v128.load(codes + 32 * n + at), 2);
      mask = v128.or(mask, i8x16.shl(bits, <i32>n));
    }
    v128.store(target + at, mask);
  }
  for (let at: usize = 0; at < 256; at += 16) {
    v128.store(codes + at, v128.and(v128.load(codes + at), i8x16.splat(3)));
  }
  packTwoBits(codes, target + 32);
  store<u16>(target + 108, <u16>d);
}

export function encodeQ6_K(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 210);
  if (!loadBlock(source, importances, 256)) return;
  const d = searchSuperScale(q6Shape);
  const step = scaleOf(d);
  for (let group: usize = 0; group < 16; group++) {
    const scale = load<i8>(bestScales + group);
    roundCodes(q6Shape.levels, group << 6, 64, step * <f32>scale, -32);
    store<i8>(target + 192 + group, scale);
  }
  for (let half: usize = 0; half < 2; half++) {
    const from = codes + (half << 7);
    packFourBits(from, 64, target + (half << 6));
    for (let at: usize = 0; at < 32; at += 16) {
      const low = v128.or(
        i8x16.shr_u(v128.load(from + at), 4),
        v128.and(i8x16.shr_u(v128.load(from + at, 32), 2), i8x16.splat(12)),
      );
      const high = v128.or(
        v128.and(v128.load(from + at, 64), i8x16.splat(48)),
        i8x16.shl(v128.and(v128.load(from + at, 96), i8x16.splat(48)), 2),
      );
      v128.store(target + 128 + (half << 5) + at, v128.or(low, high));
    }
  }
  store<u16>(target + 208, <u16>d);
}

/** Positions in the table of 32 weights, packed. */
function packIQ4(from: usize, scale: f32, target: usize): void {
  roundCodes(iq4Levels, from, 128, scale, -127);
  const at = codes + (from >> 2);
  for (let i: usize = 0; i < 32; i++) store<u8>(at + i, load<u8>(positions + <usize>load<u8>(at + i)));
  packFourBits(at, 16, target);
}

/** u8[241]: position in the table of a level, counted from the lowest. */
const positions = memory.data(256, 16);
for (let position: usize = 0; position < 16; position++) {
  store<u8>(positions + <usize>(load<f32>(IQ4_TABLE + (position << 2)) + 127), <u8>position);
}

export function encodeIQ4_XS(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 136);
  if (!loadBlock(source, importances, 256)) return;
  const d = searchSuperScale(iq4Shape);
  const step = scaleOf(d);
  store<u16>(target, <u16>d);
  for (let group: usize = 0; group < 8; group++) {
    const scale = <i32>load<i8>(bestScales + group);
    const high = target + 2 + (group >> 2);
    store<u8>(high, load<u8>(high) | <u8>(((scale + 32) >> 4) << (<i32>(group & 3) << 1)));
    const low = target + 4 + (group >> 1);
    store<u8>(low, load<u8>(low) | <u8>(((scale + 32) & 15) << (<i32>(group & 1) << 2)));
    packIQ4(group << 7, step * <f32>scale, target + 8 + (group << 4));
  }
}

/** The best scale of either sign for one block of 32, as bits of a half. */
function fitBlock(levels: Levels, steps: i32): u32 {
  const reach = max(-levels.low, levels.high);
  fitScale(levels, 0, 128, reach, 0.75, 1.5, steps);
  const gain = fittedGain;
  const scale = fittedScale;
  fitScale(levels, 0, 128, -reach, 0.75, 1.5, steps);
  return halfOf(fittedGain > gain ? fittedScale : scale);
}

export function encodeIQ4_NL(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 18);
  if (!loadBlock(source, importances, 32)) return;
  const half = fitBlock(iq4Levels, 24);
  store<u16>(target, <u16>half);
  packIQ4(0, scaleOf(half), target + 2);
}

const q4Levels = newRange(-8, 7);

export function encodeQ4_0(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 18);
  if (!loadBlock(source, importances, 32)) return;
  const half = fitBlock(q4Levels, 24);
  store<u16>(target, <u16>half);
  roundCodes(q4Levels, 0, 128, scaleOf(half), -8);
  packFourBits(codes, 16, target + 2);
}

const q5Levels = newRange(-16, 15);

export function encodeQ5_0(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 22);
  if (!loadBlock(source, importances, 32)) return;
  const half = fitBlock(q5Levels, 24);
  store<u16>(target, <u16>half);
  roundCodes(q5Levels, 0, 128, scaleOf(half), -16);
  store<u32>(target, fifthBits(codes), 2);
  packFourBits(codes, 16, target + 6);
}
