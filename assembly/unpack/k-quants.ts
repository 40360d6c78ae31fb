import { highNibbles, loadHalf, lowNibbles, moveBits, storeProducts8, storeProducts16 } from './vectors';

// Layouts: src/quant/k-quants.ts.

export function unpackQ2_K(source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    const packed = v128.load(source);
    storeProducts16(scales, lowNibbles(packed), loadHalf(source + 80));
    storeProducts16(mins, highNibbles(packed), loadHalf(source + 82));
    for (let column: usize = 0; column < 32; column += 16) {
      const first = v128.load(source + column, 16);
      const second = v128.load(source + column, 48);
      const to = codes + column;
      v128.store(to, moveBits(first, 0, 3));
      v128.store(to, moveBits(first, -2, 3), 32);
      v128.store(to, moveBits(first, -4, 3), 64);
      v128.store(to, moveBits(first, -6, 3), 96);
      v128.store(to, moveBits(second, 0, 3), 128);
      v128.store(to, moveBits(second, -2, 3), 160);
      v128.store(to, moveBits(second, -4, 3), 192);
      v128.store(to, moveBits(second, -6, 3), 224);
    }
    source += 84;
    codes += 256;
    scales += 64;
    mins += 64;
  }
}

export function unpackQ3_K(source: usize, codes: usize, scales: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    // Two high bits of each of four scales per 16-bit shift; see q3kScale.
    const packed = v128.load_zero<u64>(source, 96);
    const low = v128.shuffle<u64>(lowNibbles(packed), highNibbles(packed), 0, 2);
    const bits = load<u32>(source, 104);
    const high = i32x4(
      (bits << 4) & 0x30303030, (bits << 2) & 0x30303030, bits & 0x30303030, (bits >> 2) & 0x30303030,
    );
    storeProducts16(scales, i8x16.sub(v128.or(low, high), i8x16.splat(32)), loadHalf(source + 108));
    for (let column: usize = 0; column < 32; column += 16) {
      // Set where 4 is to be subtracted.
      const missing = v128.not(v128.load(source + column));
      const first = v128.load(source + column, 32);
      const second = v128.load(source + column, 64);
      const to = codes + column;
      v128.store(to, i8x16.sub(moveBits(first, 0, 3), moveBits(missing, 2, 4)));
      v128.store(to, i8x16.sub(moveBits(first, -2, 3), moveBits(missing, 1, 4)), 32);
      v128.store(to, i8x16.sub(moveBits(first, -4, 3), moveBits(missing, 0, 4)), 64);
      v128.store(to, i8x16.sub(moveBits(first, -6, 3), moveBits(missing, -1, 4)), 96);
      v128.store(to, i8x16.sub(moveBits(second, 0, 3), moveBits(missing, -2, 4)), 128);
      v128.store(to, i8x16.sub(moveBits(second, -2, 3), moveBits(missing, -3, 4)), 160);
      v128.store(to, i8x16.sub(moveBits(second, -4, 3), moveBits(missing, -4, 4)), 192);
      v128.store(to, i8x16.sub(moveBits(second, -6, 3), moveBits(missing, -5, 4)), 224);
    }
    source += 110;
    codes += 256;
    scales += 64;
  }
}

/** Scales and offsets of a Q4_K or Q5_K block: four at a time in the bytes of 32-bit words. */
@inline
function storeScalesAndMins(source: usize, scales: usize, mins: usize): void {
  const a = load<u32>(source, 4);
  const b = load<u32>(source, 8);
  const c = load<u32>(source, 12);
  const packed = i32x4(
    a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030),
    b & 0x3f3f3f3f, ((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030),
  );
  storeProducts8(scales, i16x8.extend_low_i8x16_s(packed), loadHalf(source));
  storeProducts8(mins, i16x8.extend_high_i8x16_s(packed), loadHalf(source + 2));
}

export function unpackQ4_K(source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    storeScalesAndMins(source, scales, mins);
    source += 16;
    for (let group = 0; group < 8; group += 2) {
      const first = v128.load(source);
      const second = v128.load(source, 16);
      v128.store(codes, lowNibbles(first));
      v128.store(codes, lowNibbles(second), 16);
      v128.store(codes, highNibbles(first), 32);
      v128.store(codes, highNibbles(second), 48);
      source += 32;
      codes += 64;
    }
    scales += 32;
    mins += 32;
  }
}

export function unpackQ5_K(source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    storeScalesAndMins(source, scales, mins);
    for (let column: usize = 0; column < 32; column += 16) {
      const fifth = v128.load(source + column, 16);
      const q0 = v128.load(source + column, 48);
      const q1 = v128.load(source + column, 80);
      const q2 = v128.load(source + column, 112);
      const q3 = v128.load(source + column, 144);
      const to = codes + column;
      v128.store(to, v128.or(lowNibbles(q0), moveBits(fifth, 4, 16)));
      v128.store(to, v128.or(highNibbles(q0), moveBits(fifth, 3, 16)), 32);
      v128.store(to, v128.or(lowNibbles(q1), moveBits(fifth, 2, 16)), 64);
      v128.store(to, v128.or(highNibbles(q1), moveBits(fifth, 1, 16)), 96);
      v128.store(to, v128.or(lowNibbles(q2), moveBits(fifth, 0, 16)), 128);
      v128.store(to, v128.or(highNibbles(q2), moveBits(fifth, -1, 16)), 160);
      v128.store(to, v128.or(lowNibbles(q3), moveBits(fifth, -2, 16)), 192);
      v128.store(to, v128.or(highNibbles(q3), moveBits(fifth, -3, 16)), 224);
    }
    source += 176;
    codes += 256;
    scales += 32;
    mins += 32;
  }
}

export function unpackQ6_K(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const middle = i8x16.splat(32);
  for (; blocks > 0; blocks--) {
    storeProducts16(scales, v128.load(source, 192), loadHalf(source + 208));
    for (let half: usize = 0; half < 2; half++) {
      for (let column: usize = 0; column < 32; column += 16) {
        const first = v128.load(source + 64 * half + column);
        const second = v128.load(source + 64 * half + column, 32);
        const high = v128.load(source + 32 * half + column, 128);
        const to = codes + 128 * half + column;
        v128.store(to, i8x16.sub(v128.or(lowNibbles(first), moveBits(high, 4, 0x30)), middle));
        v128.store(to, i8x16.sub(v128.or(lowNibbles(second), moveBits(high, 2, 0x30)), middle), 32);
        v128.store(to, i8x16.sub(v128.or(highNibbles(first), moveBits(high, 0, 0x30)), middle), 64);
        v128.store(to, i8x16.sub(v128.or(highNibbles(second), moveBits(high, -2, 0x30)), middle), 96);
      }
    }
    source += 210;
    codes += 256;
    scales += 64;
  }
}
