// Formats with scales and offsets: layouts are described beside the decoders in src/quant.
import { fitAffine, lineOffset, lineScale, nearestCodes } from './affine-fit';
import { halfOf, inverseOf, loadBlock, scaleOf, values } from './block';
import { fifthBits, packFourBits, packTwoBits } from './pack';
import { AffineShape, bestD, bestDmin, bestOffsets, bestScales, searchSuperAffine } from './super-affine';

function newShape(
  sub: i32, last: f32, lastScale: f32, spread: f32, steps: i32, narrowest: f32, keptFits: i32, starts: i32,
  stride: f32,
): AffineShape {
  const shape = changetype<AffineShape>(heap.alloc(offsetof<AffineShape>()));
  shape.subBytes = <usize>sub << 2;
  shape.last = last;
  shape.lastScale = lastScale;
  shape.spread = spread;
  shape.steps = steps;
  shape.narrowest = narrowest;
  shape.keptFits = keptFits;
  shape.starts = starts;
  shape.stride = stride;
  return shape;
}

const q2Shape = newShape(16, 3, 15, 1, 6, 0.58, 3, 5, 1);
const q4Shape = newShape(32, 15, 63, 1, 10, 0.8, 2, 3, 3);
const q5Shape = newShape(32, 31, 63, 1, 10, 0.85, 3, 3, 2);

const codes = memory.data(256, 16);

function roundCodes(from: usize, bytes: usize, scale: f32, offset: f32, last: f32): void {
  const inverses = f32x4.splat(inverseOf(scale));
  const offsets = f32x4.splat(offset);
  // Added to 2^23, a whole number stands in the low bits.
  const base = f32x4.splat(8388608);
  for (let at = from; at < from + bytes; at += 16) {
    const rounded = f32x4.add(nearestCodes(v128.load(values + at), inverses, offsets, f32x4.splat(last)), base);
    const low = v128.shuffle<i8>(rounded, rounded, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    store<u32>(codes + (at >> 2), i32x4.extract_lane(low, 0));
  }
}

function searchCodes(shape: AffineShape): void {
  searchSuperAffine(shape);
  const step = scaleOf(bestD);
  const offsetStep = scaleOf(bestDmin);
  const bytes = shape.subBytes;
  for (let from: usize = 0, j: usize = 0; from < 1024; from += bytes, j++) {
    const scale = step * <f32>load<u8>(bestScales + j);
    roundCodes(from, bytes, scale, offsetStep * <f32>load<u8>(bestOffsets + j), shape.last);
  }
}

export function encodeQ2_K(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 84);
  if (!loadBlock(source, importances, 256)) return;
  searchCodes(q2Shape);
  v128.store(target, v128.or(v128.load(bestScales), i8x16.shl(v128.load(bestOffsets), 4)));
  packTwoBits(codes, target + 16);
  store<u16>(target + 80, <u16>bestD);
  store<u16>(target + 82, <u16>bestDmin);
}

export function encodeQ4_K(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 144);
  if (!loadBlock(source, importances, 256)) return;
  searchCodes(q4Shape);
  packHeader(target);
  for (let n: usize = 0; n < 4; n++) packFourBits(codes + (n << 6), 32, target + 16 + (n << 5));
}

export function encodeQ5_K(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 176);
  if (!loadBlock(source, importances, 256)) return;
  searchCodes(q5Shape);
  packHeader(target);
  for (let at: usize = 0; at < 32; at += 16) {
    let bits = i8x16.splat(0);
    for (let n: usize = 0; n < 8; n++) {
      bits = v128.or(bits, i8x16.shl(i8x16.shr_u(v128.load(codes + (n << 5) + at), 4), <i32>n));
    }
    v128.store(target + 16 + at, bits);
  }
  for (let n: usize = 0; n < 4; n++) packFourBits(codes + (n << 6), 32, target + 48 + (n << 5));
}

/** d, dmin and the codes of scales and offsets, of six bits each. */
function packHeader(target: usize): void {
  store<u16>(target, <u16>bestD);
  store<u16>(target, <u16>bestDmin, 2);
  for (let group: usize = 0; group < 4; group++) {
    const scale = load<u8>(bestScales + group, 4);
    const offset = load<u8>(bestOffsets + group, 4);
    const at = target + 4 + group;
    store<u8>(at, load<u8>(bestScales + group) | ((scale >> 4) << 6));
    store<u8>(at, load<u8>(bestOffsets + group) | ((offset >> 4) << 6), 4);
    store<u8>(at, (scale & 15) | ((offset & 15) << 4), 8);
  }
}

/** One block of 32 with a scale and a minimum, and its codes. */
function encodeBlock(target: usize, last: f32): void {
  fitAffine(0, 128, last, -Infinity, 12, 0.58, 3);
  const scale = halfOf(lineScale);
  const minimum = halfOf(-lineOffset);
  store<u16>(target, <u16>scale);
  store<u16>(target, <u16>minimum, 2);
  roundCodes(0, 128, scaleOf(scale), -scaleOf(minimum), last);
}

export function encodeQ4_1(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 20);
  if (!loadBlock(source, importances, 32)) return;
  encodeBlock(target, 15);
  packFourBits(codes, 16, target + 4);
}

export function encodeQ5_1(source: usize, importances: usize, target: usize): void {
  memory.fill(target, 0, 24);
  if (!loadBlock(source, importances, 32)) return;
  encodeBlock(target, 31);
  store<u32>(target, fifthBits(codes), 4);
  packFourBits(codes, 16, target + 8);
}
