import { loadHalf, moveBits, spreadBits } from './vectors';

// Layouts: src/quant/low-bit.ts.

export function unpackQ1_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const minusOne = i8x16.splat(-1);
  for (; blocks > 0; blocks--) {
    v128.store(scales, f32x4.splat(loadHalf(source)));
    source += 2;
    for (let group = 0; group < 4; group++) {
      // A mask is −1 where the bit is set: −1 − 2 · mask.
      const bits = v128.load_splat<u32>(source);
      const first = spreadBits(bits, 0);
      const second = spreadBits(bits, 2);
      v128.store(codes, i8x16.sub(minusOne, i8x16.add(first, first)));
      v128.store(codes, i8x16.sub(minusOne, i8x16.add(second, second)), 16);
      source += 4;
      codes += 32;
    }
    scales += 16;
  }
}

export function unpackQ2_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const one = i8x16.splat(1);
  for (; blocks > 0; blocks--) {
    const scale = loadHalf(source);
    store<f32>(scales, scale);
    store<f32>(scales, scale, 4);
    const packed = v128.load(source, 2);
    const a = i8x16.sub(moveBits(packed, 0, 3), one);
    const b = i8x16.sub(moveBits(packed, -2, 3), one);
    const c = i8x16.sub(moveBits(packed, -4, 3), one);
    const d = i8x16.sub(moveBits(packed, -6, 3), one);
    const lowAb = v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const highAb = v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const lowCd = v128.shuffle<u8>(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const highCd = v128.shuffle<u8>(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    v128.store(codes, v128.shuffle<u16>(lowAb, lowCd, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(codes, v128.shuffle<u16>(lowAb, lowCd, 4, 12, 5, 13, 6, 14, 7, 15), 16);
    v128.store(codes, v128.shuffle<u16>(highAb, highCd, 0, 8, 1, 9, 2, 10, 3, 11), 32);
    v128.store(codes, v128.shuffle<u16>(highAb, highCd, 4, 12, 5, 13, 6, 14, 7, 15), 48);
    source += 18;
    codes += 64;
    scales += 8;
  }
}
