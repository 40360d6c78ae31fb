import { loadHalf, moveBits } from './vectors';

// Layouts: src/quant/ternary.ts.

@inline
function repeat8(scales: usize, scale: f32): void {
  const repeated = f32x4.splat(scale);
  v128.store(scales, repeated);
  v128.store(scales, repeated, 16);
}

/**
 * Highest digit minus one of 16 base-3 fractions of 256, given minus 128: 3q ⩾ 256 from q = 86, 3q ⩾ 512 from
 * q = 171, as signed bytes −42 and 43.
 */
@inline
function digit(biased: v128): v128 {
  const notZero = i8x16.gt_s(biased, i8x16.splat(-43));
  const two = i8x16.gt_s(biased, i8x16.splat(42));
  return i8x16.sub(i8x16.sub(i8x16.splat(-1), notZero), two);
}

/** The next digit becomes the highest. The bias stays: 3(q − 128) = 3q − 128 modulo 256. */
@inline
function nextDigit(biased: v128): v128 {
  return i8x16.add(i8x16.add(biased, biased), biased);
}

/** Five digits of 16 bytes, each digit `stride` bytes after the one before. */
@inline
function unpackFive(source: usize, codes: usize, stride: usize): void {
  let q = v128.xor(v128.load(source), i8x16.splat(-128));
  for (let n = 0; n < 5; n++) {
    v128.store(codes, digit(q));
    q = nextDigit(q);
    codes += stride;
  }
}

export function unpackTQ1_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    repeat8(scales, loadHalf(source + 52));
    unpackFive(source, codes, 32);
    unpackFive(source + 16, codes + 16, 32);
    unpackFive(source + 32, codes + 160, 16);
    // Four bytes of four digits: each digit in a lane of its own.
    const q0 = v128.xor(v128.load_splat<u32>(source, 48), i8x16.splat(-128));
    const q1 = nextDigit(q0);
    const q2 = nextDigit(q1);
    const q01 = v128.shuffle<u32>(q0, q1, 0, 4, 0, 4);
    const q23 = v128.shuffle<u32>(q2, nextDigit(q2), 0, 4, 0, 4);
    v128.store(codes, digit(v128.shuffle<u64>(q01, q23, 0, 2)), 240);
    source += 54;
    codes += 256;
    scales += 32;
  }
}

export function unpackTQ2_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const one = i8x16.splat(1);
  for (; blocks > 0; blocks--) {
    repeat8(scales, loadHalf(source + 64));
    for (let column: usize = 0; column < 32; column += 16) {
      const first = v128.load(source + column);
      const second = v128.load(source + column, 32);
      const to = codes + column;
      v128.store(to, i8x16.sub(moveBits(first, 0, 3), one));
      v128.store(to, i8x16.sub(moveBits(first, -2, 3), one), 32);
      v128.store(to, i8x16.sub(moveBits(first, -4, 3), one), 64);
      v128.store(to, i8x16.sub(moveBits(first, -6, 3), one), 96);
      v128.store(to, i8x16.sub(moveBits(second, 0, 3), one), 128);
      v128.store(to, i8x16.sub(moveBits(second, -2, 3), one), 160);
      v128.store(to, i8x16.sub(moveBits(second, -4, 3), one), 192);
      v128.store(to, i8x16.sub(moveBits(second, -6, 3), one), 224);
    }
    source += 66;
    codes += 256;
    scales += 32;
  }
}
